"""The centre as a whole: what nodes send over a real broker is stored once, and acknowledged when it is durable."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from central import service as service_module
from central.flow import Gate
from central.ingest import frames
from central.link import LinkError
from central.service import Service
from central.store.models import Annotation, Camera, Frame, Node, NodeEvent, Policy, ReleaseNode
from protocols import pack as packs
from protocols.messages import CameraHealth, CameraInfo, Command, Event, Fetch, Health, Reply, Update, utc_now
from protocols.pack import Input, Manifest

pytestmark = [pytest.mark.asyncio, pytest.mark.system]


async def count(centre: Service, what: Any) -> int:
    async with centre.database.read() as session:
        return await session.scalar(select(func.count()).select_from(what)) or 0


async def until(check: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait until the coroutine that `check` makes returns something true."""
    async with asyncio.timeout(seconds):
        while not (result := await check()):
            await asyncio.sleep(0.02)
        return result


async def test_frame__is_stored_whole_then_acknowledged(centre: Service, join: Any, sound: Any) -> None:
    node, message = await join("n1"), sound(name="a.png", index=7)
    node.send("frames", message)
    assert await asyncio.to_thread(node.receipts, 1) == [message.id]
    async with centre.database.read() as session:
        row = await session.get(Frame, message.id)
        boxes = list(await session.scalars(select(Annotation)))
        camera = await session.get(Camera, ("n1", "c1"))
    assert row is not None
    assert (row.node, row.name, row.index, row.state, row.revision) == ("n1", "a.png", 7, "pending", 0)
    assert (row.sha256, row.size_bytes, row.captured_at) == (message.sha256, len(message.image), message.time)
    assert row.selection["reason"] == "uncertain"
    assert row.value > 0.3
    assert await centre.blobs.read(row.blob) == message.image
    assert [(b.label, b.source, b.confirmed, b.x2) for b in boxes] == [("car", "node", False, 30.0)]
    assert camera is not None
    assert camera.last_frame_id == message.id


async def test_frames__twice_and_out_of_order_is_once(centre: Service, join: Any, sound: Any) -> None:
    node = await join("n1")
    messages = [sound(sequence=i) for i in range(10)]
    for message in [*reversed(messages), *messages]:
        node.send("frames", message)
    ids = await asyncio.to_thread(node.receipts, 20)
    assert sorted(ids) == sorted(2 * [m.id for m in messages])
    assert await count(centre, Frame) == 10
    assert await count(centre, Annotation) == 10


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64},
        {"node": "n2"},
        {"width": 65},
        {"sequence": 2**63},
        {"image": b"\xff\xd8 no JPEG \xff\xd9"},
        b"garbage",
        b"",
    ],
    ids=str,
)
async def test_frame__that_lies_is_refused_and_others_go_on(
    centre: Service, join: Any, sound: Any, changes: Any
) -> None:
    node, good = await join("n1"), sound(sequence=1)
    node.send("frames", changes if isinstance(changes, bytes) else sound(**changes))
    node.send("frames", good)
    assert await asyncio.to_thread(node.receipts, 1) == [good.id]
    assert await count(centre, Frame) == 1
    assert centre.consumer.counters.refused == (changes != b"")


async def test_frame__two_of_one_place_or_id_keep_the_first(centre: Service, join: Any, sound: Any) -> None:
    node, other, first = await join("n1"), await join("n2"), sound(sequence=1)
    node.send("frames", first)
    await asyncio.to_thread(node.receipts, 1)
    node.send("frames", sound(sequence=1, image=sound(sequence=9).image))
    other.send("frames", sound("n2", sequence=2, id=first.id))
    good = sound(sequence=3)
    node.send("frames", good)
    assert await asyncio.to_thread(node.receipts, 1) == [good.id]
    await until(lambda: asyncio.sleep(0, centre.consumer.counters.refused == 2))
    assert await count(centre, Frame) == 2


async def test_frame__killed_before_the_receipt_is_stored_once(
    centre: Service, join: Any, sound: Any, monkeypatch: pytest.MonkeyPatch, options: Any, simulated: Any
) -> None:
    node, message = await join("n1"), sound()
    monkeypatch.setattr(centre.link, "publish", lambda *_: False)
    node.send("frames", message)
    await until(lambda: count(centre, Frame))
    await centre.stop()
    again = await service_module.start(options(centre.data))
    try:
        await again.link.wait_connected(20)
        late = await asyncio.to_thread(simulated, "n1", again.broker.node("n1"))
        late.send("frames", message)
        assert await asyncio.to_thread(late.receipts, 1) == [message.id]
        assert await count(again, Frame) == 1
        late.close()
    finally:
        await again.stop()


async def test_frame__killed_between_image_and_row_is_stored_once(
    centre: Service, join: Any, sound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, message = await join("n1"), sound()
    real = frames._insert

    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(frames, "_insert", full)
    node.send("frames", message)
    await until(lambda: asyncio.sleep(0, centre.consumer.counters.failed))
    assert await count(centre, Frame) == 0
    monkeypatch.setattr(frames, "_insert", real)
    node.send("frames", message)
    assert await asyncio.to_thread(node.receipts, 1) == [message.id]
    assert await count(centre, Frame) == 1


async def test_frame__one_that_cannot_be_stored_does_not_take_others_with_it(
    centre: Service, join: Any, sound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await join("n1")
    messages = [sound(sequence=i) for i in range(5)]
    real = frames._insert

    def picky(session: Any, batch: Any, keys: Any) -> None:
        if any(m.id == messages[2].id for m in batch):
            raise OverflowError
        real(session, batch, keys)

    monkeypatch.setattr(frames, "_insert", picky)
    for message in messages:
        node.send("frames", message)
    ids = await asyncio.to_thread(node.receipts, 4)
    assert set(ids) == {m.id for m in messages} - {messages[2].id}
    assert centre.consumer.counters.failed == 0


async def test_frame__a_clock_that_was_ahead_does_not_freeze_the_picture(
    centre: Service, join: Any, sound: Any
) -> None:
    node, ahead, now = await join("n1"), sound(time=datetime(2038, 1, 19, tzinfo=UTC)), sound(sequence=1)
    for message in (ahead, now):
        node.send("frames", message)
        await asyncio.to_thread(node.receipts, 1)
    async with centre.database.read() as session:
        camera = await session.get(Camera, ("n1", "c1"))
    assert camera is not None
    assert camera.last_frame_id == now.id


async def test_gate__a_slow_store_slows_the_nodes_and_loses_nothing(
    centre: Service, join: Any, sound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.link.gate = Gate(limit := 20_000)
    node, highest, real = await join("n1"), 0, frames.store

    async def slow(*args: Any) -> Any:
        nonlocal highest
        highest = max(highest, centre.link.gate.held)
        await asyncio.sleep(0.05)
        return await real(*args)

    monkeypatch.setattr(frames, "store", slow)
    for i in range(60):
        node.send("frames", sound(sequence=i))
    ids = await asyncio.to_thread(node.receipts, 60)
    assert len(set(ids)) == 60
    assert 0 < highest <= limit


async def test_broker__restarted_and_everything_goes_on(centre: Service, join: Any, sound: Any, simulated: Any) -> None:
    node = await join("n1")
    node.birth()
    await until(lambda: count(centre, Node))
    async with centre.database.write() as session:
        session.add(Policy(node="n1", version=4))
    pid = centre.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: asyncio.sleep(0, centre.broker.pid != pid), 20)
    await until(lambda: asyncio.sleep(0, centre.link.counters.connects == 2 and centre.link.connected), 20)
    again = await asyncio.to_thread(simulated, "n1", centre.broker.node("n1"))
    message = sound()
    again.send("frames", message)
    assert (await asyncio.to_thread(again.receive, "policy")).version == 4
    assert await asyncio.to_thread(again.receipts, 1) == [message.id]
    again.close()


async def test_presence__from_birth_to_silence(centre: Service, join: Any) -> None:
    node, kinds = await join("n1"), list[str]()
    centre.notify.listen(kinds.append)
    node.birth(site="north", cameras=[CameraInfo(camera="c1", source="street:", width=640, height=360)])
    camera = CameraHealth(camera="c1", state="watching", fps=12.5)
    health = Health(node="n1", boot="b1", time=utc_now(), uptime_s=3.0, spool_frames=4, cameras=[camera])
    node.send("health", health)
    node.send("events", Event(node="n1", camera="c1", time=utc_now(), kind="alert", alert="dark", raised=True), "c1")

    async def row() -> Any:
        async with centre.database.read() as session:
            found = await session.get(Node, "n1")
            return found if found and found.spool_frames == 4 else None

    async def both() -> bool:
        return await count(centre, NodeEvent) == 2

    found = await until(row)
    await until(both)
    assert (found.state, found.site) == ("online", "north")
    async with centre.database.read() as session:
        seen = await session.get(Camera, ("n1", "c1"))
        events = [e.kind for e in await session.scalars(select(NodeEvent).order_by(NodeEvent.id))]
    assert seen is not None
    assert (seen.source, seen.width, seen.health["fps"], seen.health["detail"]) == ("street:", 640, 12.5, "")
    assert events == ["status", "alert"]
    assert "node" in kinds


async def test_command__is_answered_or_times_out(centre: Service, join: Any) -> None:
    node, stranger = await join("n1"), await join("n2")
    asked = asyncio.create_task(centre.command("n1", "snapshot", "c1"))
    command: Command = await asyncio.to_thread(node.receive, "command")
    forged = Reply(id=command.id, node="n2", ok=False, time=utc_now())
    stranger.send("reply", forged)
    await asyncio.sleep(0.2)
    node.send("reply", Reply(id=command.id, node="n1", ok=True, time=utc_now(), image=b"jpeg"))
    assert (await asked).image == b"jpeg"
    with pytest.raises(LinkError, match="no answer"):
        await centre.command("n1", "pause", timeout=0.1)


async def test_release__is_offered_fetched_and_tracked(centre: Service, join: Any, tmp_path: Path) -> None:
    manifest = Manifest(name="small", labels=["car"], input=Input(height=64, width=64))
    made = packs.create(tmp_path / "p", manifest, {"model.onnx": os.urandom(700_000)})
    node = await join("n1")
    node.birth()
    await until(lambda: count(centre, Node))
    await centre.register(made)
    release = await centre.release(made.address, "tester")
    offer = await asyncio.to_thread(node.receive, "release")
    assert (offer.number, offer.pack) == (1, made.address)
    name, data = f"packs/{offer.pack}", b""
    while len(data) < offer.size:
        node.send("fetch", Fetch(request="r", name=name, offset=len(data), length=256 * 1024))
        chunk = await asyncio.to_thread(node.receive, "chunks")
        assert (chunk.error, chunk.offset, chunk.total) == ("", len(data), offer.size)
        data += chunk.data
    assert data == packs.archive(made)
    for step in ("fetching", "committed", "committed"):
        node.send("update", Update(node="n1", boot="b1", time=utc_now(), release=1, pack=offer.pack, step=step))

    async def finished() -> Any:
        async with centre.database.read() as session:
            row = await session.get(ReleaseNode, (release.number, "n1"))
            return row and row.step == "committed"

    await until(finished)
    late = await join("n9")
    late.birth()
    assert (await asyncio.to_thread(late.receive, "release")).number == 1


async def test_control__garbage_is_counted_and_others_go_on(centre: Service, join: Any) -> None:
    node = await join("n1")
    for channel in ("status", "health", "update", "fetch", "reply"):
        node.send(channel, b"\x00garbage")
    node.birth(node="n2")
    node.birth()
    with pytest.raises(queue.Empty):
        await asyncio.to_thread(node.receive, "chunks", 0.3)
    assert await until(lambda: count(centre, Node)) == 1
    assert centre.consumer.counters.malformed == 6


async def test_gate__is_empty_again(centre: Service, join: Any, sound: Any) -> None:
    node = await join("n1")
    for i in range(20):
        node.send("frames", sound(sequence=i))
    await asyncio.to_thread(node.receipts, 20)
    await until(lambda: asyncio.sleep(0, centre.link.gate.held == 0))
