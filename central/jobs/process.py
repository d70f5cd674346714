"""Jobs as Python processes: a fresh interpreter each, reports as JSON lines over a pipe, output to a log file.

A job that was running when the server died ends by itself; `recover` marks its row at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from sqlalchemy import select, update

from central.jobs import JobError, Listener
from central.jobs.worker import PACKAGE
from central.store.database import Database
from central.store.models import Job
from protocols.messages import utc_now

_log = structlog.get_logger(__name__)
GRACE_S: Final = 5.0
"""Seconds between asking a process to end and ending it."""
MAX_LINE: Final = 1024 * 1024
"""Bytes of one report; a result with the metrics of a thousand classes has 100 KB."""
LOG_TAIL: Final = 64 * 1024
"""Bytes of a log that are shown."""
INTERRUPTED: Final = "the centre stopped while it ran; start it again"


@dataclass
class _Running:
    process: asyncio.subprocess.Process
    task: asyncio.Task[None]
    cancelled: bool = False


class ProcessJobs:
    """Runs each job in a process. `folder` is where the logs go."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._running: dict[str, _Running] = {}

    async def recover(self) -> None:
        """Mark what an earlier server left running as failed."""
        await self._write_all(("queued", "running"), state="failed", detail=INTERRUPTED, finished=utc_now())

    async def submit(
        self,
        function: str,
        args: Mapping[str, Any],
        listener: Listener | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> str:
        """Start a job; see `central.jobs.Jobs`."""
        if not function.startswith(PACKAGE):
            raise JobError(f"{function!r} is not one of our functions")
        job = str(uuid.uuid4())
        request = json.dumps({"function": function, "args": {**args, **(secrets or {})}})
        async with self._database.write() as session:
            session.add(Job(id=job, function=function, args=dict(args), state="running", started=utc_now()))
        read, write = os.pipe()
        try:
            process = await self._spawn(job, write)
        except OSError as error:
            os.close(read)
            await self._write(job, state="failed", detail=f"no process: {error.strerror}", finished=utc_now())
            raise JobError(f"job cannot start: {error.strerror}") from None
        finally:
            os.close(write)
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(request.encode() + b"\n")
                await process.stdin.drain()
        task = asyncio.create_task(self._follow(job, process, read, listener), name=f"job {job}")
        self._running[job] = _Running(process, task)
        return job

    # Threads of a job that wait for each other must not spin: nodes and the server may need the very same cores.
    async def _spawn(self, job: str, write: int) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{job}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "central.jobs.worker", str(write),
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, pass_fds=(write,), start_new_session=True,
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
            )  # fmt: skip

    async def _follow(
        self, job: str, process: asyncio.subprocess.Process, read: int, listener: Listener | None
    ) -> None:
        answer: dict[str, Any] = {}
        reader = asyncio.StreamReader(limit=MAX_LINE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb"))
        try:
            while line := await _line(reader):
                message = json.loads(line)
                if "report" in message:
                    await self._report(job, message["report"], listener)
                else:
                    answer = message
        finally:
            transport.close()
        status = await process.wait()
        await self._finish(job, answer, status, listener)

    async def _report(self, job: str, step: Mapping[str, Any], listener: Listener | None) -> None:
        columns: dict[str, Any] = {}
        if isinstance(step.get("progress"), (int, float)):
            columns["progress"] = min(1.0, max(0.0, float(step["progress"])))
        if isinstance(step.get("detail"), str):
            columns["detail"] = step["detail"]
        if columns:
            await self._write(job, **columns)
        await _tell(listener, "report", step)

    async def _finish(self, job: str, answer: Mapping[str, Any], status: int, listener: Listener | None) -> None:
        running = self._running.pop(job, None)
        end: dict[str, Any]
        if running is not None and running.cancelled:
            end = {"state": "cancelled", "detail": "cancelled"}
        elif "result" in answer:
            end = {"state": "done", "progress": 1.0, "result": answer["result"]}
        else:
            end = {"state": "failed", "detail": answer.get("error") or f"its process ended with status {status}"}
        await self._write(job, **end, finished=utc_now())
        killed = end["state"] == "failed" and status == -signal.SIGKILL
        await _tell(listener, "end", {**end, "killed": True} if killed else end)

    async def cancel(self, job: str) -> bool:
        """Ask the process to end, and end it if it does not."""
        running = self._running.get(job)
        if running is None:
            return False
        running.cancelled = True
        _signal(running.process, signal.SIGTERM)
        done, _ = await asyncio.wait({running.task}, timeout=GRACE_S)
        if not done:
            _signal(running.process, signal.SIGKILL)
            await asyncio.wait({running.task})
        return True

    async def close(self) -> None:
        """Stop every job."""
        await asyncio.gather(*(self.cancel(job) for job in list(self._running)))

    async def log(self, job: str) -> str:
        """Return the last LOG_TAIL bytes of what the job printed."""
        async with self._database.read() as session:
            known = await session.scalar(select(Job.id).where(Job.id == job))
        path = self._folder / f"{job}.log"
        if known is None or not path.is_file():
            raise JobError(f"no job {job[:80]!r}")
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL))
            return file.read().decode(errors="replace")

    async def _write(self, job: str, **columns: Any) -> None:
        async with self._database.write() as session:
            await session.execute(update(Job).where(Job.id == job).values(**columns))

    async def _write_all(self, states: tuple[str, ...], **columns: str | datetime) -> None:
        async with self._database.write() as session:
            await session.execute(update(Job).where(Job.state.in_(states)).values(**columns))


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next whole line, empty at the end. A report above MAX_LINE ends the conversation."""
    try:
        return await reader.readline()
    except ValueError:
        return b""


async def _tell(listener: Listener | None, kind: Literal["report", "end"], step: Mapping[str, Any]) -> None:
    if listener is None:
        return
    # Not ours: what a listener raises must not lose the job's end.
    try:
        await listener(kind, step)
    except Exception as error:  # noqa: BLE001 - see above
        _log.error("a job's listener failed", exc_info=error)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
