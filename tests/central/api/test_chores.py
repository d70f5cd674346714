"""What the centre does by itself, and when it leaves it."""

from __future__ import annotations

import pytest

from central.api.chores import Chores
from central.store.models import Job
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
