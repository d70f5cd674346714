"""The queue of jobs from the command line."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from central.cli import app
from central.jobs import rounds
from central.store import database
from central.store.models import Job
from protocols.messages import utc_now


@pytest.fixture
def data(tmp_path: Path, migrated: Path) -> Path:
    """A centre's folder with jobs in it."""
    shutil.copy(migrated, tmp_path / "central.db")

    async def fill() -> None:
        db = database.connect(database.sqlite_url(tmp_path / "central.db"))
        async with db.write() as session:
            session.add_all([
                Job(id="aa-1", function="central.jobs.probe:count", state="queued", kind="scoring", title="Backlog"),
                Job(id="ab-2", function="central.jobs.probe:count", state="running", kind="other", progress=0.5),
                Job(id="ba-3", function="central.jobs.probe:count", state="failed", kind="other", detail="no good",
                    log="a line\n", finished=utc_now(), attempts=1),
                Job(id="ca-4", function=rounds.FUNCTION, state="failed", kind="round", args={"round_id": "r0001"}),
            ])  # fmt: skip
        await db.close()

    asyncio.run(fill())
    return tmp_path


def run(data: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of ``jobs WORDS``."""
    done = CliRunner().invoke(app, ["jobs", *words, "--data", str(data), "--json"])
    lines = done.stdout.strip().splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else {}


def test_list__running_first_then_the_queue_then_the_past(data: Path) -> None:
    status, found = run(data, "list")
    assert status == 0
    assert [(v["id"], v["state"]) for v in found["jobs"]][:3] == [
        ("ab-2", "running"), ("aa-1", "queued"), ("ba-3", "failed"),
    ]  # fmt: skip


def test_log__by_the_first_letters(data: Path) -> None:
    assert run(data, "log", "ba") == (0, {"id": "ba-3", "text": "a line\n"})


@pytest.mark.parametrize(("job", "status"), [("aa", 0), ("ab", 0), ("ba", 1), ("a", 2), ("zz", 2)])
def test_cancel__what_is_not_over(data: Path, job: str, status: int) -> None:
    assert run(data, "cancel", job)[0] == status


@pytest.mark.parametrize(("job", "status"), [("ba", 0), ("aa", 1), ("ca", 2)])
def test_retry__what_failed(data: Path, job: str, status: int) -> None:
    assert run(data, "retry", job)[0] == status
