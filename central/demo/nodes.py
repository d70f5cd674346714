"""The demo's nodes: real processes of ``wayside-edge run``, started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from central.demo.cameras import Watched
from central.link import BrokerAddress
from protocols import files

STOP_S: Final = 6.0
"""A node says goodbye and syncs its spool; more than this and it is ended."""
AGAIN_S: Final = 2.0
HEALTH_S: Final = 3.0
"""Between health messages: somebody is looking at this fleet of two."""


@dataclass(frozen=True)
class Pace:
    """How fast the nodes go: frames per second of each camera, frames to send per hour and camera."""

    fps: float
    frames_per_hour: float


@dataclass
class NodeProcess:
    """One node of the demo."""

    name: str
    cameras: Sequence[Watched]
    folder: Path
    broker: BrokerAddress
    prefix: str
    pace: Pace
    pack: str
    """Pack that it starts with."""
    root: Path
    """First root metadata of its centre."""
    _process: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None
    starts: int = field(default=0)

    def command(self) -> list[str]:
        """Return the command line, which anybody could type."""
        line = [
            sys.executable, "-m", "edge.cli", "run", "--node", self.name, "--site", "demo",
            "--broker", f"{self.broker.host}:{self.broker.port}", "--prefix", self.prefix,
            "--username", str(self.broker.username), "--password-file", str(self.folder / "password"),
            "--data", str(self.folder), "--pack", self.pack, "--root", str(self.root), "--loop",
            "--fps", str(self.pace.fps), "--frames-per-hour", str(self.pace.frames_per_hour),
            "--health-interval", str(HEALTH_S),
        ]  # fmt: skip
        for watched in self.cameras:
            line += ["--camera", f"{watched.camera}={watched.source}"]
        return line

    @property
    def log(self) -> Path:
        """Where the node's own words go."""
        return self.folder / "node.log"

    async def start(self) -> None:
        """Start the node and keep it running."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_atomic(self.folder / "password", str(self.broker.password).encode(), 0o600)
        await self._spawn()
        self._watch = asyncio.create_task(self._keep(), name=f"node {self.name}")

    async def _spawn(self) -> None:
        self.starts += 1
        paths = os.pathsep.join(p for p in (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")) if p)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            await asyncio.sleep(AGAIN_S)
            await self._spawn()

    async def stop(self) -> None:
        """End the node: it stops watching, says so, and leaves."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    def last_words(self) -> str:
        """Return the last line that the node wrote."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""
