"""Traffic that comes three times and in any order is stored exactly once, and every copy gets its receipt."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from central.ingest import frames
from central.ingest.consumer import Consumer
from central.link import Received
from central.notify import Notifier
from central.store import blobs
from central.store.database import Database
from central.store.models import Frame
from edge.sources import frame_id
from protocols import codec
from protocols.messages import Fetch, FrameMessage, Message, Receipt, Reply, utc_now

FRAMES, COPIES = 150, 3


class Line:
    """Keeps the receipts."""

    def __init__(self) -> None:
        self.receipted: set[str] = set()

    def publish(self, channel: str, node: str, message: Message) -> bool:
        assert isinstance(message, Receipt)
        self.receipted |= set(message.ids)
        return True

    def ask(self, node: str, fetch: Fetch) -> None:
        raise AssertionError

    def answer(self, node: str, reply: Reply) -> None:
        raise AssertionError


@pytest.fixture
def traffic(sound: Callable[..., Any], picture: Callable[..., bytes]) -> list[FrameMessage]:
    """Frames of two nodes, each three times, one copy under another id, as a node that lost its notes would send it."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", seed)
    sent = []
    for i in range(FRAMES):
        image = picture(seed=i % 7)
        made = sound(f"n{i % 2}", sequence=i, image=image, sha256=hashlib.sha256(image).hexdigest())
        sent += [made, made, msgspec.structs.replace(made, id=frame_id(utc_now()))]
    random.Random(seed).shuffle(sent)
    return sent


async def problems(db: Database, folder: Path, sent: list[FrameMessage]) -> list[str]:
    """Deliver `sent` and return what is not as promised."""
    line, done = Line(), list[Received]()
    made = Consumer(db, blobs.connect(None, folder), line, line, Notifier(), done.append)
    running = asyncio.create_task(made.run())
    for message in sent:
        made.deliver(Received(message.node, "frames", "", codec.encode("frames", message)))
    async with asyncio.timeout(100):
        while len(done) < len(sent):
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with db.read() as session:
        rows = Counter((r.node, r.boot, r.sequence) for r in await session.scalars(select(Frame)))
    wanted = {(m.node, m.boot, m.sequence) for m in sent}
    found = [f"{place} is stored {times} times" for place, times in rows.items() if times > 1]
    found += [f"{place} is missing" for place in wanted - set(rows)]
    return found + [f"{m.id} has no receipt" for m in sent if m.id not in line.receipted]


async def test_replay__three_times_and_in_any_order_is_stored_once(
    db: Database, tmp_path: Path, traffic: list[FrameMessage]
) -> None:
    assert len(traffic) == FRAMES * COPIES
    assert await problems(db, tmp_path / "blobs", traffic) == []


async def test_replay__knowing_frames_by_id_alone_is_found(
    db: Database, tmp_path: Path, traffic: list[FrameMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: the place (node, boot, sequence) is not looked at."""
    plain = frames._Known.verdict

    def by_id(known: Any, message: FrameMessage) -> bool | None:
        return plain(known, message) if message.id in known.by_id else False

    monkeypatch.setattr(frames._Known, "verdict", by_id)
    assert await problems(db, tmp_path / "blobs", traffic) != []
