"""Several processes take frames in: each frame once, whoever dies, and never without a receipt."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from central import broker as broker_module
from central import service as service_module
from central.broker import find_mosquitto
from central.ingest import workers
from central.link import SHARE, BrokerAddress, Link, LinkError
from central.service import Service
from central.store.models import Frame

FRAMES = 120
pytestmark = pytest.mark.timeout(200)


@pytest_asyncio.fixture
async def shared(tmp_path: Path, options: Any) -> AsyncIterator[Service]:
    """A centre with two workers beside it, on a real Mosquitto."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")

    class Three(options):  # type: ignore[misc]
        ingest_workers = 3

    made = await service_module.start(Three(tmp_path / "central"))
    await made.link.wait_connected(20)
    yield made
    await made.stop()


async def until(look: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not look():
            await asyncio.sleep(0.05)


async def stored(centre: Service) -> list[int]:
    async with centre.database.read() as session:
        return sorted(await session.scalars(select(Frame.sequence)))


def receipts(node: Any, wanted: set[str], seconds: float) -> set[str]:
    """Return which of `wanted` were receipted within about `seconds`."""
    got: set[str] = set()
    while not wanted <= got:
        try:
            got |= set(node.receive("receipts", seconds).ids)
        except queue.Empty:
            break
    return got


@pytest.mark.system
async def test_workers__share_the_frames_and_lose_none_when_one_dies(
    shared: Service, simulated: Any, sound: Callable[..., Any]
) -> None:
    assert shared.workers is not None
    counters = shared.workers.counters
    await until(lambda: sum(c["connects"] for c in counters.values()) == 2)
    node = await asyncio.to_thread(simulated, "n1", shared.broker.node("n1"))
    messages = {m.id: m for m in (sound(sequence=i) for i in range(FRAMES))}
    waiting = dict(messages)
    for message in waiting.values():
        node.send("frames", message)
    os.kill(shared.workers.pids[0], signal.SIGKILL)
    async with asyncio.timeout(90):
        while waiting:
            for frame in await asyncio.to_thread(receipts, node, set(waiting), 3):
                waiting.pop(frame, None)
            for message in waiting.values():
                node.send("frames", message)
    assert await stored(shared) == list(range(FRAMES))
    assert shared.consumer.counters.frames < FRAMES, "the first took them all"
    await until(lambda: len(shared.workers.pids) == 2)  # type: ignore[union-attr]
    await asyncio.to_thread(node.close)


@pytest.mark.system
async def test_workers__embedded_broker_cannot_share_so_there_are_none(
    tmp_path: Path, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)

    class Two(options):  # type: ignore[misc]
        ingest_workers = 2

    made = await service_module.start(Two(tmp_path / "central"))
    assert (made.workers, made.link.part) == (None, "all")
    await made.stop()


def link(part: Any) -> Link:
    return Link(BrokerAddress("127.0.0.1", 1), "w/v1", lambda _: None, part=part)


def test_filters__frames_are_shared_and_nothing_else() -> None:
    assert link("frames").filters() == [f"{SHARE}w/v1/+/frames"]
    shared = link("shared").filters()
    assert f"{SHARE}w/v1/+/frames" in shared
    assert [f for f in shared if not f.startswith("$")] == [f for f in link("all").filters() if "frames" not in f]


def test_unshared__the_first_takes_all_and_a_worker_nothing() -> None:
    first = link("shared")
    first.unshared("no MQTT 5")
    assert first.filters() == link("all").filters()
    with pytest.raises(LinkError, match="nothing to do"):
        link("frames").unshared("no MQTT 5")


@pytest.mark.system
async def test_link__a_broker_without_mqtt_5_gives_everything_to_the_first(tmp_path: Path) -> None:
    broker = await broker_module.start_own("embedded", tmp_path, 0)
    made = Link(broker.centre, "wayside/v1", lambda _: None, part="shared")
    await made.start()
    await made.wait_connected(30)
    assert made.part == "all"
    await made.stop()
    await broker.stop()


@pytest.mark.parametrize(
    ("kind", "cores", "expected"),
    [("mosquitto", 2, 1), ("mosquitto", 5, 2), ("mosquitto", 64, 4), ("mosquitto", None, 1), ("given", 64, 1)],
)
def test_workers__as_many_as_the_machine_has_room_for(
    monkeypatch: pytest.MonkeyPatch, kind: str, cores: int | None, expected: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers.automatic(SimpleNamespace(kind=kind)) == expected  # type: ignore[arg-type]
