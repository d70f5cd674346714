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

from central.broker import Broker
from central.ingest.worker import Task

log = structlog.get_logger("central.ingest.workers")

AGAIN_S: Final = 2.0
"""Before a worker that died is started again."""
STOP_S: Final = 5.0
"""For a worker to end by itself."""
MAX_WORKERS: Final = 4
"""Processes that take frames in, where nobody says how many: one database takes what they commit."""


def automatic(broker: Broker) -> int:
    """Return how many processes are worth it: one needs a core, and so do the broker and the rest of the centre."""
    if broker.kind != "mosquitto":
        return 1  # whether another one can share is only known once it is asked
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // 2))


def of_settings(settings: Any, url: str, broker: Broker, stored: Callable[[], None]) -> Workers | None:
    """Return the workers that the centre's `settings` ask for, on the database at `url`; None where there are none or
    the broker cannot share. `stored` is called when one of them stored something."""
    count = getattr(settings, "ingest_workers", 1) or automatic(broker)
    if count == 1:
        return None
    if broker.kind == "embedded":
        log.warning("the embedded broker cannot share frames out; install mosquitto for several workers")
        return None

    def task(number: int) -> Task:
        at = broker.worker(number)
        files = (str(p) if p else None for p in (at.ca, at.certificate, at.key))
        folder = str(settings.data / "blobs")
        return Task(
            url, settings.blob_url, folder, settings.prefix, at.host, at.port, at.username, at.password, at.tls, *files
        )

    return Workers(count - 1, task, stored)


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
