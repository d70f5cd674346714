"""A job as a process of this machine: a fresh interpreter, reports as JSON lines over a pipe, output to a log file.

It ends by itself when the server goes away: the pipe to its standard input breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

GRACE_S: Final = 5.0
"""Seconds between asking a process to end and ending it."""
CLUSTER_GRACE_S: Final = 20.0
"""The same for one that must first stop what runs on a cluster."""
MAX_LINE: Final = 1024 * 1024
"""Bytes of one report; a result with the metrics of a thousand classes has 100 KB."""
LOG_TAIL: Final = 64 * 1024
"""Bytes of a log that are shown."""


@dataclass
class Child:
    """A job that runs. `read`: the pipe with its reports; `log`: the file with what it prints."""

    process: asyncio.subprocess.Process
    read: int
    log: Path
    grace_s: float = GRACE_S

    async def messages(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield each ``{"report": ...}``, and at last ``{"result": ...}`` or ``{"error": ...}``, if it got so far."""
        reader = asyncio.StreamReader(limit=MAX_LINE)
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(self.read, "rb")
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while line := await _line(reader):
                yield json.loads(line)
        finally:
            transport.close()

    async def stop(self, over: asyncio.Task[None]) -> None:
        """Ask the process to end, and end it if it does not; `over` ends once it did."""
        self.signal(signal.SIGTERM)
        done, _ = await asyncio.wait({over}, timeout=self.grace_s)
        if not done:
            self.signal(signal.SIGKILL)
            await asyncio.wait({over})

    def signal(self, number: int) -> None:
        """Send a signal to the process and to all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def tail(self, size: int = LOG_TAIL) -> str:
        """Return the last `size` bytes of what it printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - size))
                return file.read().decode(errors="replace").replace("\0", "")
        except FileNotFoundError:
            return ""


# Threads of a job that wait for each other must not spin: nodes and the server may need the very same cores.
async def start(log: Path, request: Mapping[str, Any]) -> Child:
    """Start the job that `request` describes (see `central.jobs.worker`), its output in the file `log`.

    Raises OSError where there can be no process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    try:
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "central.jobs.worker", str(write),
                stdin=asyncio.subprocess.PIPE, stdout=file, stderr=file, pass_fds=(write,), start_new_session=True,
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
            )  # fmt: skip
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
    return Child(process, read, log, CLUSTER_GRACE_S if request.get("cluster") else GRACE_S)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next whole line, empty at the end. A report above MAX_LINE ends the conversation."""
    try:
        return await reader.readline()
    except ValueError:
        return b""
