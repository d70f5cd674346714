"""The queue: order, limits, retries, other servers, and what a stop leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from central.jobs import LIMITS, Ticket, queue, rows
from central.jobs.queue import JobQueue
from central.jobs.worker import answer
from central.store.database import Database
from central.store.models import Job

COUNT = "central.jobs.probe:count"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG = {"steps": 1000, "seconds": 0.05}


@pytest_asyncio.fixture
async def jobs(db: Database, tmp_path: Path) -> AsyncIterator[JobQueue]:
    """The queue of server ``me``."""
    made = JobQueue(db, tmp_path / "jobs", server="me")
    yield made
    await made.close()


async def add(db: Database, *jobs: Job) -> None:
    async with db.write() as session:
        session.add_all(jobs)


async def states(db: Database) -> dict[str, tuple[str, str]]:
    async with db.read() as session:
        return {row.id: (row.state, row.server) for row in await session.scalars(select(Job))}


def job(ident: str, state: str = "queued", server: str = "me", **columns: Any) -> Job:
    return Job(id=ident, function=COUNT, state=state, server=server, **{"created": NOON, **columns})


async def claimed(db: Database, limits: Mapping[str, int] = LIMITS, at: datetime = NOON) -> list[str]:
    """Return what is claimed, one after the other, until nothing is."""
    found = []
    while True:
        async with db.write() as session:
            row = await rows.claim(session, "me", limits, at, "")
        if row is None:
            return found
        found.append(row.id)


async def test_claim__a_persons_first_then_the_oldest(db: Database) -> None:
    late, soon = NOON + timedelta(minutes=1), NOON - timedelta(minutes=1)
    await add(db, job("b", created=late), job("a", created=soon), job("p", created=late, priority=10))
    assert await claimed(db, {"chore": 9}) == ["p", "a", "b"]


async def test_claim__so_many_of_a_kind(db: Database) -> None:
    await add(
        db, *(job(f"r{n}", kind="round") for n in range(3)), job("s", kind="scoring"), job("o", "running", "other")
    )
    assert sorted(await claimed(db)) == ["r0", "s"]


async def test_claim__not_before_its_time_and_not_anothers(db: Database) -> None:
    await add(db, job("later", not_before=NOON + timedelta(seconds=5)), job("theirs", server="other"))
    assert await claimed(db) == []
    assert await claimed(db, at=NOON + timedelta(seconds=6)) == ["later"]


@pytest.mark.parametrize(("attempts", "draw", "seconds"), [(1, 0.5, 5), (2, 0.5, 10), (3, 1.0, 24), (20, 0.0, 240)])
def test_backoff__twice_as_long_each_time_within_bounds(attempts: int, draw: float, seconds: float) -> None:
    assert rows.backoff(attempts, draw).total_seconds() == pytest.approx(seconds)


async def test_submit__waits_for_its_turn(db: Database, jobs: JobQueue) -> None:
    first = await jobs.submit(COUNT, LONG, ticket=Ticket("round"))
    second = await jobs.submit(COUNT, {"steps": 1, "seconds": 0.0}, ticket=Ticket("round"))
    assert {k: v[0] for k, v in (await states(db)).items()} == {first: "running", second: "queued"}
    await jobs.cancel(first)
    async with asyncio.timeout(30):
        while (await states(db))[second][0] != "done":
            await asyncio.sleep(0.05)


async def test_killed__begins_again_as_often_as_its_ticket_says(
    db: Database, jobs: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BACKOFF_S", 0.01)
    ends: list[Any] = []

    async def listen(kind: str, step: Mapping[str, Any]) -> None:
        ends.extend([step] * (kind == "end"))

    ident = await jobs.submit(COUNT, LONG, listen, ticket=Ticket("other", attempts=2))
    for attempt in (1, 2):
        async with asyncio.timeout(30):
            while True:
                async with db.read() as session:
                    row = await session.get_one(Job, ident)
                if row.state == "running" and row.attempts == attempt and ident in jobs._running:
                    break
                await asyncio.sleep(0.02)
        running = jobs._running[ident]
        running.child.process.kill()
        await running.task
    async with asyncio.timeout(10):
        while not ends:
            await asyncio.sleep(0.02)
    assert ends[0]["state"] == "failed" and ends[0]["killed"]


async def test_missing_secret__is_told(db: Database, jobs: JobQueue) -> None:
    await add(db, job("j", needs=["database_url"]))
    await jobs.begin()
    async with asyncio.timeout(10):
        while (await states(db))["j"][0] != "failed":
            await asyncio.sleep(0.02)


async def test_cancel__what_waits_tells_its_listener(db: Database, jobs: JobQueue) -> None:
    heard: list[Any] = []

    async def listen(kind: str, step: Mapping[str, Any]) -> None:
        heard.append((kind, step["state"]))

    await add(db, job("busy", "running", "other", kind="round"))
    ident = await jobs.submit(COUNT, LONG, listen, ticket=Ticket("round"))
    assert await jobs.cancel(ident)
    assert heard == [("end", "cancelled")]


async def test_tick__stops_what_a_command_beside_the_server_wants_stopped(db: Database, jobs: JobQueue) -> None:
    ident = await jobs.submit(COUNT, LONG)
    async with db.write() as session:
        assert await rows.stop(session, ident, NOON)
    await jobs.tick()
    assert (await states(db))[ident][0] == "cancelled"


async def test_tick__takes_over_what_a_dead_server_left(
    db: Database, jobs: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "STALE_S", 0.0)
    monkeypatch.setattr(JobQueue, "begin", _nothing)
    await add(
        db, job("waits", server="dead"), job("again", "running", "dead", attempts=1, max_attempts=2),
        job("once", "running", "dead", attempts=1), job("far", "running", "dead", attempts=1, place="ray://h:1"),
    )  # fmt: skip
    await jobs.tick()
    assert await states(db) == {
        "waits": ("queued", "me"), "again": ("queued", "me"), "once": ("failed", "me"), "far": ("queued", "me"),
    }  # fmt: skip


async def _nothing(_queue: JobQueue) -> None:
    pass


async def test_tick__leaves_what_a_living_server_has(db: Database, jobs: JobQueue) -> None:
    await add(db, job("theirs", "running", "other"))
    await jobs.tick()
    await jobs.tick()
    assert await states(db) == {"theirs": ("running", "other")}


@pytest.mark.parametrize(("attempts", "state"), [(1, "failed"), (3, "queued")])
async def test_close__what_may_begin_anew_waits_for_it(db: Database, tmp_path: Path, attempts: int, state: str) -> None:
    stopped = JobQueue(db, tmp_path / "jobs", server="me")
    ident = await stopped.submit(COUNT, LONG, ticket=Ticket("other", attempts=attempts))
    await stopped.close()
    assert (await states(db))[ident][0] == state


async def test_follower__listens_after_a_restart(db: Database, jobs: JobQueue) -> None:
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def follower(ident: str, args: Mapping[str, Any]) -> Any:
        async def listen(kind: str, step: Mapping[str, Any]) -> None:
            if kind == "end":
                heard.set_result((ident, args, step["state"]))

        return listen

    jobs.followers[COUNT] = follower
    args = {"steps": 1, "seconds": 0.0}
    await add(db, job("j", "running", args=args, attempts=1, max_attempts=2))
    await jobs.recover()
    await jobs.tick()
    assert await asyncio.wait_for(heard, 30) == ("j", args, "done")


@pytest.mark.parametrize(("fail", "transient"), [("", None), ("no good", False)])
def test_answer__says_whether_another_attempt_may_help(fail: str, transient: bool | None) -> None:
    request = {"function": COUNT, "args": {"steps": 1, "seconds": 0.0, "fail": fail}}
    assert answer(request, lambda _step: None).get("transient") is transient


async def test_forget__old_chores_that_are_over(db: Database) -> None:
    old, now = {"created": NOON - rows.KEPT - timedelta(hours=1), "kind": "chore"}, "running"
    await add(
        db, job("old", "done", **old), job("failed", "failed", **old), job("runs", now, **old), job("waits", **old),
        job("new", "done", kind="chore"), job("asked", "done", **(old | {"kind": "round"})),
    )  # fmt: skip
    async with db.write() as session:
        await rows.forget(session, NOON)
    assert set(await states(db)) == {"runs", "waits", "new", "asked"}
