"""The workers of a centre: started, watched, started again where one dies, ended with the centre."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from central.ingest.worker import Task

log = structlog.get_logger("central.ingest.workers")

AGAIN_S: Final = 2.0
"""Before a worker that died is started again."""
STOP_S: Final = 5.0
"""For a worker to end by itself."""


class Workers:
    """Processes that share the frames. `task` makes what worker number n (from 1) has to know; `stored` is called when
    one of them stored something."""

    def __init__(self, count: int, task: Callable[[int], Task], stored: Callable[[], None]) -> None:
        self._count, self._task, self._stored = count, task, stored
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self.counters: dict[int, dict[str, int]] = {}
        """What each worker counted since it was started."""

    @property
    def pids(self) -> list[int]:
        """Processes of those that run."""
        return [p.pid for p in self._processes.values() if p.returncode is None]

    async def run(self) -> None:
        """Keep them running until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._count + 1):
                    group.create_task(self._keep(number), name=f"worker {number}")
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End them all."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes.values():
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _keep(self, number: int) -> None:
        while True:
            process = await self._spawn(number)
            assert process.stdout is not None
            while line := await process.stdout.readline():
                self._heard(number, line)
            log.warning("a worker ended; starting it again", worker=number, status=await process.wait())
            await asyncio.sleep(AGAIN_S)

    async def _spawn(self, number: int) -> asyncio.subprocess.Process:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "central.ingest.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=env, start_new_session=True,
        )  # fmt: skip
        self._processes[number] = process
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(self._task(number)) + b"\n")
            await process.stdin.drain()
        return process

    def _heard(self, number: int, line: bytes) -> None:
        try:
            counters: dict[str, Any] = json.loads(line)
        except ValueError:
            return
        before = self.counters.get(number, {}).get("frames", 0)
        self.counters[number] = counters
        if counters.get("frames", 0) != before:
            self._stored()
