"""Frames and health of the same nodes at the same time, on a database where writers go beside each other."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from central.ingest import frames
from central.ingest.consumer import Consumer
from central.link import Received
from central.notify import Notifier
from central.store import blobs, database
from central.store.migrations import migrate
from protocols import codec
from protocols.messages import CameraHealth, Health, utc_now
from tests.central.ingest.conftest import frame_message
from tests.servers.postgres import Postgres

NODES = [f"n{i}" for i in range(12)] + [f"n-{i}" for i in range(12)]
"""Names that bytes and people sort differently."""
TURNS = 8


@pytest.mark.timeout(120)
async def test_frames_and_health__of_the_same_nodes_never_wait_for_each_other(
    postgres: Postgres, tmp_path: Path
) -> None:
    held = database.connect(postgres.create())
    await migrate(held.engine)
    store = blobs.connect(None, tmp_path / "blobs")
    draw = random.Random(3)
    consumer = Consumer(held, store, None, None, Notifier())  # type: ignore[arg-type]

    async def health() -> None:
        for _ in range(TURNS):
            names = draw.sample(NODES, len(NODES))
            now, camera = utc_now(), CameraHealth(camera="c1", state="watching", fps=draw.random())
            await consumer._note([Health(node=n, boot="b1", time=now, uptime_s=1.0, cameras=[camera]) for n in names])

    async def send(lane: int) -> None:
        for turn in range(TURNS):
            names = draw.sample(NODES, len(NODES))
            made = [frame_message(n, sequence=100 * lane + turn) for n in names]
            batch = [Received(m.node, "frames", "", codec.encode("frames", m)) for m in made]
            stored = await frames.store(held, store, frames.decode(batch))
            assert stored.new == len(NODES)

    await health()
    await asyncio.gather(health(), *(send(lane) for lane in range(3)))
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert postgres.run(query, str(held.engine.url)) == [(0,)]
    assert consumer.counters.failed == 0
    store.close()
    await held.close()
