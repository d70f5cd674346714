"""A store that is slow slows the nodes down: what was received is bounded, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from central import service as service_module
from central.broker import find_mosquitto
from central.flow import Gate
from central.ingest import frames
from central.link import OVERHEAD, Received
from central.service import Service
from central.store.models import Frame

FRAMES = 60
LIMIT = 64 * 1024
"""Bytes: about ten of the test's frames."""
pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest_asyncio.fixture
async def centre(tmp_path: Path, options: Any) -> AsyncIterator[Service]:
    """A centre on Mosquitto that may hold little."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    made = await service_module.start(options(tmp_path / "central"))
    made.link.gate = Gate(LIMIT)
    await made.link.wait_connected(20)
    yield made
    await made.stop()


async def test_pressure__a_store_that_stands_still_bounds_what_is_held_and_loses_nothing(
    centre: Service, simulated: Any, sound: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    going, plain = asyncio.Event(), frames.store

    async def slow(*given: Any) -> Any:
        await going.wait()
        return await plain(*given)

    monkeypatch.setattr(frames, "store", slow)
    node = await asyncio.to_thread(simulated, "n1", centre.broker.node("n1"))
    messages = [sound(sequence=i) for i in range(FRAMES)]
    for message in messages:
        node.send("frames", message)
    most = 0
    for _ in range(30):
        await asyncio.sleep(0.1)
        most = max(most, centre.link.gate.held)
    assert 0 < most <= LIMIT
    assert centre.link.counters.received < FRAMES, "it read on although it held too much"
    going.set()
    assert set(await asyncio.to_thread(node.receipts, FRAMES)) == {m.id for m in messages}
    assert centre.link.counters.dropped == 0
    async with centre.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Frame)) == FRAMES
    await asyncio.to_thread(node.close)


def test_received__an_empty_message_counts_with_what_it_holds() -> None:
    assert Received("n", "health", "", b"").size == OVERHEAD > 500
