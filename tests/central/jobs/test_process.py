"""Jobs in processes of their own: reports, results, failures, cancelling, and what a dead server leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from central.jobs import JobError
from central.jobs.process import INTERRUPTED, ProcessJobs
from central.jobs.worker import resolve
from central.store.database import Database
from central.store.models import Job

COUNT = "central.jobs.probe:count"


class Ear:
    """Hears what a job says, and can be waited on for its end."""

    def __init__(self) -> None:
        self.reports: list[Mapping[str, Any]] = []
        self.end: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()

    async def __call__(self, kind: str, step: Mapping[str, Any]) -> None:
        if kind == "end":
            self.end.set_result(step)
        else:
            self.reports.append(step)


@pytest_asyncio.fixture
async def jobs(db: Database, tmp_path: Path) -> AsyncIterator[ProcessJobs]:
    """Jobs with logs in a folder."""
    made = ProcessJobs(db, tmp_path / "jobs")
    yield made
    await made.close()


async def row(db: Database, job: str) -> Job:
    async with db.read() as session:
        return await session.get_one(Job, job)


async def test_submit__a_job_may_fork(jobs: ProcessJobs) -> None:
    ear = Ear()
    await jobs.submit("central.jobs.probe:fork", {}, ear)
    end = await asyncio.wait_for(ear.end, 60)
    assert end["result"] == {"status": 0}


async def test_submit__reports_result_and_log(db: Database, jobs: ProcessJobs) -> None:
    ear = Ear()
    job = await jobs.submit(COUNT, {"steps": 3, "seconds": 0.0}, ear)
    end = await asyncio.wait_for(ear.end, 30)
    assert end == {"state": "done", "progress": 1.0, "result": {"counted": 3}}
    assert [r["detail"] for r in ear.reports] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    kept = await row(db, job)
    assert (kept.state, kept.progress, kept.result) == ("done", 1.0, {"counted": 3})
    assert "counted 3" in await jobs.log(job)


async def test_submit__failure_is_one_line(db: Database, jobs: ProcessJobs) -> None:
    ear = Ear()
    job = await jobs.submit(COUNT, {"steps": 1, "seconds": 0.0, "fail": "no\ngood"}, ear)
    end = await asyncio.wait_for(ear.end, 30)
    assert end == {"state": "failed", "detail": "no good"}
    assert "Traceback" in await jobs.log(job)
    assert (await row(db, job)).detail == "no good"


async def test_submit__secrets_are_not_kept(db: Database, jobs: ProcessJobs) -> None:
    ear = Ear()
    job = await jobs.submit(COUNT, {"steps": 1, "seconds": 0.0}, ear, {"fail": "hunter2-as-argument"})
    await asyncio.wait_for(ear.end, 30)
    assert (await row(db, job)).args == {"steps": 1, "seconds": 0.0}


async def test_cancel__ends_the_process(db: Database, jobs: ProcessJobs) -> None:
    ear = Ear()
    job = await jobs.submit(COUNT, {"steps": 1000, "seconds": 0.05}, ear)
    assert await jobs.cancel(job)
    assert (await asyncio.wait_for(ear.end, 30))["state"] == "cancelled"
    assert (await row(db, job)).state == "cancelled"
    assert not await jobs.cancel(job)


async def test_process_killed__is_a_failure(db: Database, jobs: ProcessJobs) -> None:
    ear = Ear()
    job = await jobs.submit(COUNT, {"steps": 1000, "seconds": 0.05}, ear)
    jobs._running[job].child.process.kill()
    end = await asyncio.wait_for(ear.end, 30)
    assert end["state"] == "failed"
    assert "status -9" in end["detail"]


async def test_server_gone__job_ends(db: Database, jobs: ProcessJobs) -> None:
    ear = Ear()
    job = await jobs.submit(COUNT, {"steps": 1000, "seconds": 0.05}, ear)
    process = jobs._running[job].child.process
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 3


async def test_recover__marks_what_was_left(db: Database, jobs: ProcessJobs) -> None:
    async with db.write() as session:
        session.add(Job(id="old", function=COUNT, state="running"))
        session.add(Job(id="over", function=COUNT, state="done"))
    await jobs.recover()
    async with db.read() as session:
        states = {j.id: (j.state, j.detail) for j in await session.scalars(select(Job))}
    assert states == {"old": ("failed", INTERRUPTED), "over": ("done", "")}


async def test_submit__foreign_function(jobs: ProcessJobs) -> None:
    with pytest.raises(JobError, match="not one of our functions"):
        await jobs.submit("os:system", {})


async def test_log__unknown_job(jobs: ProcessJobs) -> None:
    with pytest.raises(JobError, match="no job"):
        await jobs.log("../../etc/passwd")


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "central.jobs.probe",
        "central.jobs.probe:_x",
        "central.nix:f",
        "central.jobs.probe:nix",
        "central.jobs.probe:Mapping2",
    ],
)
def test_resolve__refuses(name: str) -> None:
    with pytest.raises(ValueError, match=r"job|function"):
        resolve(name)
