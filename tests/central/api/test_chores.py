"""What the centre does by itself, and when it leaves it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from central.api.chores import Chores
from central.jobs import rows
from central.store.models import Job
from protocols.messages import utc_now
from tests.central.api.conftest import World


async def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("kind", "state", "looks"),
    [
        ("scoring", "queued", False),
        ("scoring", "running", False),
        ("scoring", "done", True),
        ("other", "running", True),
    ],
)
async def test_proposals__are_left_to_a_backlog(world: World, kind: str, state: str, looks: bool) -> None:
    async with world.centre.database.write() as session:
        session.add(Job(id="j", function="central.jobs.probe:count", server="other", kind=kind, state=state))
    assert await Chores(world.centre, nothing).proposals(None) is looks


async def test_sweep__deletes_what_is_long_over(world: World) -> None:
    long_ago = utc_now() - rows.KEPT - timedelta(hours=1)
    async with world.centre.database.write() as session:
        for name, state in (("old", "done"), ("runs", "running")):
            session.add(Job(id=name, function="f", server="other", kind="chore", state=state, created=long_ago))
    sweeping = asyncio.create_task(Chores(world.centre, nothing).sweep())
    left: set[str] = {"old"}
    async with asyncio.timeout(20):
        while "old" in left:
            await asyncio.sleep(0.05)
            async with world.centre.database.read() as session:
                left = set(await session.scalars(select(Job.id)))
    sweeping.cancel()
    assert left == {"runs"}
