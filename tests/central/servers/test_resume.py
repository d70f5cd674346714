"""Which rounds a server goes on with, and which it leaves to others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from central.jobs.rounds import FUNCTION, Rounds
from central.jobs.rows import INTERRUPTED
from central.notify import Notifier
from central.store.database import Database
from central.store.models import Job, Round


class Jobs:
    """Keeps what is submitted."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def submit(self, _function: str, args: Any, **_: Any) -> str:
        self.begun.append(args["round_id"])
        return "j"


@pytest.mark.parametrize(
    ("job", "interrupted", "resumed"),
    [
        (None, False, True),
        (None, True, False),
        (("queued", ""), False, False),
        (("running", ""), False, False),
        (("running", ""), True, False),
        (("failed", INTERRUPTED), True, True),
        (("failed", INTERRUPTED), False, True),
        (("failed", "out of memory"), True, False),
        (("done", ""), True, False),
        (("done", ""), False, True),
    ],
    ids=str,
)
async def test_resume__only_what_nobody_works_on(
    shared: Database, tmp_path: Path, job: tuple[str, str] | None, interrupted: bool, resumed: bool
) -> None:
    async def register(_pack: Any) -> None:
        raise AssertionError

    async with shared.write() as session:
        session.add(Round(id="r0001", by="ann", state="training", starts=1))
        if job is not None:
            row = Job(id="j1", function=FUNCTION, args={"round_id": "r0001"}, state=job[0], detail=job[1], server="b")
            session.add(row)
    jobs: Any = Jobs()
    found = await Rounds(shared, jobs, Notifier(), tmp_path, register).resume({}, interrupted)
    assert (found, jobs.begun) == (("r0001", ["r0001"]) if resumed else (None, []))
