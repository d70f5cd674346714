"""A message that can never be stored is put aside with its reason, and blocks nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from central.ingest import consumer as module
from central.ingest import frames, parked
from central.ingest.consumer import Consumer
from central.link import Received
from central.notify import Notifier
from central.store import blobs
from central.store.database import Database
from central.store.models import Frame, Parked
from protocols import codec
from protocols.messages import Fetch, Message, Receipt, Reply, utc_now

MANY = 1000
POISONED = 321


class Line:
    """Keeps the receipts, and answers nobody."""

    def __init__(self) -> None:
        self.receipted: list[str] = []

    def publish(self, channel: str, node: str, message: Message) -> bool:
        assert isinstance(message, Receipt)
        self.receipted += message.ids
        return True

    def ask(self, node: str, fetch: Fetch) -> None:
        raise AssertionError

    def answer(self, node: str, reply: Reply) -> None:
        raise AssertionError


async def feed(db: Database, folder: Path, payloads: list[tuple[str, bytes]], wanted: int) -> tuple[Consumer, Line]:
    """Deliver `payloads` (channel, bytes) and wait until all were looked at, or `wanted` were receipted."""
    line, done = Line(), list[Received]()
    made = Consumer(db, blobs.connect(None, folder), line, line, Notifier(), done.append)
    running = asyncio.create_task(made.run())
    for channel, payload in payloads:
        made.deliver(Received("n1", channel, "", payload))
    async with asyncio.timeout(60):
        while not running.done() and (len(done) < len(payloads) or len(line.receipted) < wanted):
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return made, line


async def rows(db: Database) -> list[Parked]:
    async with db.read() as session:
        return list(await session.scalars(select(Parked).order_by(Parked.id)))


def many(sound: Callable[..., Any], picture: Callable[..., bytes]) -> list[Any]:
    image = picture()
    digest = hashlib.sha256(image).hexdigest()
    return [sound(sequence=i, image=image, sha256=digest) for i in range(MANY)]


def poison(monkeypatch: pytest.MonkeyPatch, messages: list[Any]) -> None:
    """Let the row of one message fail in the database, for ever."""
    plain = frames._row

    def row(message: Any, *rest: Any) -> Any:
        if message.sequence == POISONED:
            raise OverflowError("too large for a column")
        return plain(message, *rest)

    monkeypatch.setattr(frames, "_row", row)


async def test_poison__one_among_a_thousand_is_parked_and_the_others_arrive(
    db: Database, tmp_path: Path, sound: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = many(sound, picture)
    poison(monkeypatch, messages)
    payloads = [("frames", codec.encode("frames", m)) for m in messages]
    _, line = await feed(db, tmp_path / "blobs", payloads, MANY - 1)
    assert set(line.receipted) == {m.id for m in messages} - {messages[POISONED].id}
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Frame)) == MANY - 1
    (held,) = await rows(db)
    assert (held.node, held.channel, held.times) == ("n1", "frames", 1)
    assert "too large for a column" in held.reason
    assert messages[POISONED].id.encode() in held.head


async def test_poison__without_singling_it_out_blocks_the_others(
    db: Database, tmp_path: Path, sound: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: whatever fails in the database ends the work."""
    monkeypatch.setattr(module, "POISON", ())
    messages = many(sound, picture)
    poison(monkeypatch, messages)
    payloads = [("frames", codec.encode("frames", m)) for m in messages]
    _, line = await feed(db, tmp_path / "blobs", payloads, MANY - 1)
    assert len(line.receipted) < MANY - 1


async def test_hash__that_does_not_match_is_parked_once_and_counted(db: Database, tmp_path: Path, sound: Any) -> None:
    bad = codec.encode("frames", sound(sha256="0" * 64))
    made, line = await feed(db, tmp_path / "blobs", [("frames", bad)] * 3, 0)
    again, _ = await feed(db, tmp_path / "blobs", [("frames", bad)], 0)
    (held,) = await rows(db)
    assert held.reason == "image: does not match its hash"
    assert (held.sha256, held.size_bytes) == (hashlib.sha256(bad).hexdigest(), len(bad))
    assert held.times == 4
    assert (made.counters.refused, made.counters.parked, again.counters.parked, line.receipted) == (3, 1, 0, [])


async def test_clash__of_a_place_is_parked(db: Database, tmp_path: Path, sound: Any, picture: Any) -> None:
    first, second = sound(sequence=1), sound(sequence=1, image=picture(seed=7))
    await feed(db, tmp_path / "blobs", [("frames", codec.encode("frames", m)) for m in (first, second)], 1)
    (held,) = await rows(db)
    assert "another frame has this id" in held.reason


async def test_garbage__on_other_channels_is_parked(db: Database, tmp_path: Path) -> None:
    other = b'{"node": "n2", "boot": "b", "time": "2026-01-01T00:00:00Z", "uptime_s": 1}'
    made, _ = await feed(db, tmp_path / "blobs", [("health", b"{"), ("health", other), ("status", b"[]")], 0)
    assert [r.channel for r in await rows(db)] == ["health", "health", "status"]
    assert (made.counters.malformed, made.counters.parked) == (3, 3)


async def test_garbage__of_one_batch_is_put_aside_up_to_a_bound(db: Database, tmp_path: Path) -> None:
    payloads = [("health", b"{%d" % i) for i in range(200)]
    made, _ = await feed(db, tmp_path / "blobs", payloads, 0)
    assert made.counters.malformed == 200
    assert 0 < len(await rows(db)) <= 2 * module.PARK


async def test_park__keeps_the_newest_of_a_node_and_a_bound_in_all(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked, "MAX_BY_NODE", 3)
    monkeypatch.setattr(parked, "MAX_ROWS", 5)
    for node, numbers in (("n1", range(5)), ("n2", range(5))):
        async with db.write() as session:
            refused = [parked.Refused(Received(node, "frames", "", b"%d" % i), "r" * 9999) for i in numbers]
            await parked.park(session, refused, utc_now())
    held = await rows(db)
    assert [(r.node, r.head) for r in held] == [
        ("n1", b"2"), ("n1", b"3"), ("n1", b"4"), ("n2", b"0"), ("n2", b"1"),
    ]  # fmt: skip
    assert all(len(r.reason) == parked.MAX_REASON for r in held)
