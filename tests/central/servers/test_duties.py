"""Duties: at one server at a time, whatever happens to servers, clocks and the database."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from central.servers import duties as duties_module
from central.servers.duties import HOLD_S, Duties, LostError
from central.servers.members import TAKE_S, Members, ServerError, identity
from central.store.database import Database
from central.store.models import Duty, Server

BOTH = {"sweep", "order"}
Make = Callable[..., Any]


async def test_tick__the_first_takes_all_and_the_second_nothing(desk: Make) -> None:
    a, b = desk("a"), desk("b")
    assert await a.tick() == BOTH
    assert await b.tick() == set()
    for _ in range(20):
        assert (await a.tick(2), await b.tick(2)) == (BOTH, set())
    assert a.duties.held == {"sweep": 1, "order": 1}


async def test_tick__who_died_is_followed_after_its_beat_stood_still(desk: Make) -> None:
    a, b = desk("a"), desk("b")
    await a.tick()
    await b.tick()
    assert await b.tick(TAKE_S - 0.1) == set()
    assert await b.tick(0.2) == BOTH
    assert b.duties.held == {"sweep": 2, "order": 2}


async def test_tick__who_comes_back_late_stops_at_once(desk: Make) -> None:
    a, b = desk("a"), desk("b")
    await a.tick()
    await b.tick()
    await b.tick(TAKE_S)
    assert await a.tick(60) == set()
    assert a.duties.held == {}


async def test_tick__a_restart_on_the_same_folder_waits_for_nobody(desk: Make) -> None:
    await desk("a").tick()
    again = desk("a", run="2")
    assert await again.tick() == BOTH
    assert again.duties.held == {"sweep": 2, "order": 2}


async def test_drain__the_next_one_takes_over_at_once(desk: Make) -> None:
    a, b = desk("a"), desk("b")
    await a.tick()
    await a.duties.drain()
    assert a.doing == set()
    assert await a.tick(2) == set(), "who drains takes nothing"
    assert await b.tick() == BOTH


async def test_drain__others_see_it(desk: Make) -> None:
    a, b = desk("a"), desk("b")
    await a.tick()
    await a.duties.drain()
    await b.tick()
    assert [each.state() for each in b.duties.seen.values()] == ["draining", "serving"]
    await a.duties.leave()
    await b.tick()
    assert [each.row.name for each in b.duties.seen.values()] == ["b"]


async def test_need__only_who_is_able(desk: Make) -> None:
    a, b = desk("a"), desk("b")
    a.duties.need("sweep", lambda: False)
    assert await a.tick() == {"order"}
    assert await b.tick() == {"sweep"}


async def test_watch__without_a_beat_it_stops_before_others_may_begin(
    desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = desk("a")
    await a.tick()

    async def away(*_: Any, **__: Any) -> None:
        raise OperationalError("BEGIN", {}, Exception("the database is away"))

    monkeypatch.setattr(a.database, "run_write", away)
    with contextlib.suppress(OperationalError):
        await a.tick(HOLD_S)
    assert a.doing == BOTH, "not by the failure alone"
    a.duties.watch()
    await asyncio.sleep(0)
    assert (a.doing, a.duties.held) == (set(), {})
    assert HOLD_S < TAKE_S
    monkeypatch.undo()
    assert await a.tick() == BOTH
    assert a.duties.held == {"sweep": 2, "order": 2}


async def test_tick__a_beat_that_was_stored_late_does_not_count(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    a = desk("a")
    await a.tick()
    store = a.database.run_write

    async def slow(work: Any, **more: Any) -> Any:
        done = await store(work, **more)
        a.now += HOLD_S
        return done

    monkeypatch.setattr(a.database, "run_write", slow)
    await a.tick()
    a.duties.watch()
    assert a.duties.held == {}


async def test_confirm__only_the_holder_of_now(desk: Make, shared: Database) -> None:
    a, b = desk("a"), desk("b")
    await a.tick()
    await b.tick()
    async with shared.write() as session:
        assert await a.duties.confirm(session, "sweep") == 1
        with pytest.raises(LostError):
            await b.duties.confirm(session, "sweep")
    await b.tick(TAKE_S)
    async with shared.write() as session:
        with pytest.raises(LostError, match="passed to another"):
            await a.duties.confirm(session, "sweep")  # it has not noticed yet
        assert await b.duties.confirm(session, "sweep") == 2


async def test_work__that_fails_is_begun_again(shared: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties_module, "AGAIN_S", 0.0)
    runs, made = [], Duties(shared, None)

    async def fails() -> None:
        runs.append(1)
        raise RuntimeError("no")

    made.add("sweep", fails)
    running = asyncio.create_task(made.run())
    async with asyncio.timeout(10):
        while len(runs) < 3:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_alone__everything_at_once_and_nothing_is_written(shared: Database) -> None:
    begun, made = asyncio.Event(), Duties(shared, None)

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    made.add("sweep", work)
    await asyncio.wait_for(begun.wait(), 5)
    async with shared.read() as session:
        assert (await session.scalar(select(Duty.name)), await session.scalar(select(Server.id))) == (None, None)
        assert await made.confirm(session, "sweep")
    await made.drain()
    assert made.held == {}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def chaos(desk: Make, seed: int, steps: int = 80) -> int:
    """Let three servers live, freeze, lose time and restart at random; return how often two did the same at once.

    True time passes alike for all; a server that is frozen does not see it, but its watch looks when it thaws, as the
    clock of a real machine goes on. What is done is looked at by true time."""
    draw, desks, runs, twice = random.Random(seed), {}, 0, 0
    for name in "abc":
        desks[name] = desk(name)
        desks[name].now = draw.uniform(0, 1e6)  # no two machines count from the same moment
    frozen: dict[str, float] = {}
    for _ in range(steps):
        passed = draw.uniform(0.5, 3.0)
        for name, one in desks.items():
            one.now += passed
            frozen[name] = frozen.get(name, 0.0) - passed
        for name in draw.sample("abc", 3):
            if frozen[name] > 0:
                continue
            one = desks[name]
            one.duties.watch()
            await one.tick()
            if draw.random() < 0.05:
                frozen[name] = draw.uniform(1, 3 * TAKE_S)
            elif draw.random() < 0.03:
                runs += 1
                now = one.now
                one.duties._stop()
                desks[name] = desk(name, run=f"{runs + 1:x}")
                desks[name].now = now
        awake = [one for name, one in desks.items() if frozen[name] <= 0]
        for duty in BOTH:
            twice += sum(duty in one.duties.held for one in awake) > 1
    for one in desks.values():
        one.duties._stop()
    await asyncio.sleep(0)
    return twice


async def test_chaos__never_at_two_servers(desk: Make) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    assert await chaos(desk, seed) == 0


async def test_chaos__twin_that_takes_without_looking_at_the_beat(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def grab(self: Duties, session: Session, row: Duty) -> int | None:
        assert self.members is not None
        change = update(Duty).where(Duty.name == row.name).values(holder=self.members.me.id, fence=Duty.fence + 1)
        return session.execute(change.returning(Duty.fence)).scalar()

    monkeypatch.setattr(Duties, "_seize", grab)
    assert await chaos(desk, 1, 20) > 0


def test_identity__of_a_folder_and_one_at_a_time(tmp_path: Path) -> None:
    first = identity(tmp_path, "one")
    with pytest.raises(ServerError, match="another server runs on this data folder"):
        identity(tmp_path)
    first.close()
    again = identity(tmp_path)
    assert (again.id, len(again.id)) == (first.id, 32)
    assert again.run != first.run
    again.close()


def test_identity__of_a_copied_folder_is_another(tmp_path: Path) -> None:
    first, other = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    one = identity(first)
    shutil.copytree(first, other)
    two = identity(other)
    assert one.id != two.id
    for each in (one, two):
        each.close()
    assert identity(first).id == one.id


async def test_tick__whose_id_another_one_took_goes_on_as_a_new_server(desk: Make) -> None:
    a, clone = desk("a"), desk("a", run="2")
    await a.tick()
    assert await clone.tick() == BOTH
    assert await a.tick(2) == set()
    for _ in range(10):
        assert (await clone.tick(2), await a.tick(2)) == (BOTH, set())
    assert len(clone.duties.seen) == 2


def test_identity__a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "server").write_text("nonsense")
    made = identity(tmp_path)
    assert len(made.id) == 32
    made.close()


@pytest.mark.parametrize(("beat", "hold", "take"), [(2.0, 1.0, 10.0), (2.0, 10.0, 10.0), (0.0, 1.0, 2.0)])
def test_duties__times_in_an_unsafe_order_are_refused(
    shared: Database, tmp_path: Path, beat: float, hold: float, take: float
) -> None:
    who = identity(tmp_path)
    with pytest.raises(ValueError, match="in this order"):
        Duties(shared, Members(who, take_s=take), beat_s=beat, hold_s=hold)
    who.close()
