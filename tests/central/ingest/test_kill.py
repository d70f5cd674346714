"""The centre is killed under load, again and again: no receipt without a stored frame, and no frame twice."""

from __future__ import annotations

import hashlib
import queue
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from central.broker import start_own
from central.store import blobs, database
from central.store.models import Frame

FRAMES = 300
KILLS = 4
WINDOW = 32
RESEND_S = 0.7
CENTRE = """
import asyncio, sys
from dataclasses import dataclass
from pathlib import Path
from central import service
@dataclass
class Options:
    data: Path = Path(sys.argv[1])
    broker_port: int = 0
    broker_url: str = sys.argv[2]
    database_url: None = None
    blob_url: None = None
    prefix: str = "wayside/v1"
async def main():
    await service.start(Options())
    await asyncio.sleep(600)
asyncio.run(main())
"""


def spawn(data: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", CENTRE, str(data), url],
        cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


class Sender:
    """Sends frames until each has its receipt."""

    def __init__(self, node: Any, messages: list[Any]) -> None:
        self.node, self.waiting = node, {m.id: m for m in messages}
        self.under_way: dict[str, float] = {}
        self.receipted: set[str] = set()

    def work(self, seconds: float, until: int) -> None:
        """Send and take receipts for `seconds`, or until `until` frames have one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.receipted) < until:
            now = time.monotonic()
            self.under_way = {i: t for i, t in self.under_way.items() if now - t < RESEND_S}
            for frame in [i for i in self.waiting if i not in self.under_way][: WINDOW - len(self.under_way)]:
                self.node.send("frames", self.waiting[frame])
                self.under_way[frame] = now
            try:
                ids = self.node.receive("receipts", 0.05).ids
            except queue.Empty:
                continue
            for frame in ids:
                self.under_way.pop(frame, None)
                self.waiting.pop(frame, None)
                self.receipted.add(frame)


@pytest.mark.asyncio
@pytest.mark.system
async def test_centre__killed_under_load_loses_and_doubles_nothing(sound: Any, simulated: Any, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    draw = random.Random(seed)
    broker = await start_own("embedded", tmp_path / "broker", 0)
    node = simulated("n1", broker.node("n1"))
    messages = [sound(sequence=i) for i in range(FRAMES)]
    sender = Sender(node, messages)
    for kill in range(KILLS):
        centre = spawn(tmp_path / "central", broker.centre.url)
        sender.work(20, (kill + 1) * FRAMES // (KILLS + 1) - draw.randrange(20))
        centre.kill()
        centre.wait()
    centre = spawn(tmp_path / "central", broker.centre.url)
    sender.work(20, FRAMES)
    centre.kill()
    centre.wait()
    node.close()
    await broker.stop()
    assert sender.receipted == {m.id for m in messages}
    store = database.connect(database.sqlite_url(tmp_path / "central" / "central.db"))
    async with store.read() as session:
        rows = list(await session.scalars(select(Frame)))
    await store.close()
    assert sorted(r.sequence for r in rows) == list(range(FRAMES))
    images = blobs.connect(None, tmp_path / "central" / "blobs")
    for row in rows:
        assert hashlib.sha256(await images.read(row.blob)).hexdigest() == row.sha256
