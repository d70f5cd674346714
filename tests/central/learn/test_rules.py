"""When rounds are due, and what keeps them from starting: with a clock of our own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from central.api.starter import NOTE, Starter
from central.learn.rules import State, Wanted, rules
from central.learn.rules.schedule import parse
from central.settings import Settings, SettingsError, load
from central.store.database import Database
from central.store.models import DriftLook, Frame, Node, Round, Setting

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""A Wednesday."""


class World:
    """A store, a clock that stands until it is moved, and rounds that are only noted."""

    def __init__(self, database: Database, data: Path, **settings: Any) -> None:
        self.database, self.now, self.started = database, NOON, list[str]()
        self.starter = Starter(database, Settings(data=data, **settings), self.start, lambda: self.now)
        self.frames = 0

    async def start(self, by: str, reason: str) -> str:
        name = f"r{len(self.started) + 1:04d}"
        self.started.append(reason)
        async with self.database.write() as session:
            session.add(Round(id=name, by=by, reason=reason, created=self.now, state="training"))
        return name

    async def end(self, state: str = "done", name: str | None = None) -> None:
        async with self.database.write() as session:
            row = await session.get_one(Round, name or f"r{len(self.started):04d}")
            row.state, row.finished = state, self.now

    async def label(self, count: int, camera: str = "c1") -> None:
        self.now += timedelta(seconds=1)
        async with self.database.write() as session:
            if await session.get(Node, "n1") is None:
                session.add(Node(name="n1"))
                await session.flush()
            for _ in range(count):
                self.frames += 1
                session.add(
                    Frame(
                        id=f"{self.frames:08x}-0000-7000-8000-000000000000", node="n1", camera=camera, boot="b",
                        sequence=self.frames, captured_at=self.now, width=8, height=8, size_bytes=1, state="labelled",
                        sha256=f"{self.frames:064x}", blob=f"{self.frames}", labelled_at=self.now,
                    )
                )  # fmt: skip

    async def drift(self, camera: str, verdict: str = "drift") -> None:
        async with self.database.write() as session:
            session.add(DriftLook(node="n1", camera=camera, at=self.now, verdict=verdict))

    async def after(self, **time: float) -> str | None:
        self.now += timedelta(**time)
        return await self.starter.tick()

    async def note(self) -> str:
        async with self.database.read() as session:
            row = await session.get(Setting, NOTE)
        return "" if row is None else str(row.value)


@pytest.fixture
def made(db: Database, tmp_path: Path) -> Callable[..., World]:
    return lambda **settings: World(db, tmp_path, **settings)


async def test_tick__no_rule_no_round(made: Callable[..., World]) -> None:
    world = made()
    await world.label(500)
    assert await world.after(days=30) is None


async def test_tick__new_labels_then_the_pause_then_again(made: Callable[..., World]) -> None:
    world = made(round_after_labels=3, round_pause_h=2)
    await world.label(2)
    assert await world.after(hours=1) is None
    await world.label(1)
    assert await world.after(hours=1) == "r0001"
    assert world.started == ["3 frames were labelled since the last round; one starts from 3"]
    await world.label(5)
    assert await world.after(hours=9) is None, "never two at once"
    await world.end()
    assert await world.after(hours=1.9) is None, "the pause"
    assert await world.after(hours=0.2) == "r0002"


async def test_tick__a_round_that_somebody_asked_for_counts(made: Callable[..., World]) -> None:
    world = made(round_after_labels=2, round_pause_h=2)
    await world.label(2)
    world.now += timedelta(minutes=1)
    await world.start("someone", "")
    await world.end()
    assert await world.after(hours=5) is None, "it has learned these"


async def test_tick__drift_waits_for_labels_of_that_camera(made: Callable[..., World]) -> None:
    world = made(round_after_drift=2, round_pause_h=0)
    await world.label(9, "c2")
    await world.drift("c1")
    await world.drift("c2", "steady")
    assert await world.after(minutes=1) is None
    await world.label(2, "c1")
    assert await world.after(minutes=1) == "r0001"
    assert world.started[0].startswith("drift of n1/c1 (2 newly labelled frames)")


async def test_tick__drift_that_is_over_starts_nothing(made: Callable[..., World]) -> None:
    world = made(round_after_drift=1, round_pause_h=0)
    await world.label(5)
    await world.drift("c1")
    await world.drift("c1", "steady")
    await world.drift("c1", "not_enough")
    assert await world.after(minutes=1) is None


async def test_tick__schedule_daily(made: Callable[..., World]) -> None:
    world = made(round_schedule="daily 03:00", round_pause_h=0)
    await world.label(1)
    assert await world.after() is None, "what lies before the first start is not made up for"
    assert await world.after(hours=14, minutes=59) is None
    assert await world.after(minutes=2) == "r0001"
    assert world.started == ["the schedule: daily 03:00 UTC"]
    await world.end()
    await world.label(1)
    assert await world.after(hours=5) is None
    assert await world.after(days=3) == "r0002", "days that were missed are made up for once"
    await world.end()
    await world.label(1)
    assert await world.after(hours=1) is None


async def test_tick__nothing_labelled_is_said_once(
    made: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = made(round_schedule="daily 03:00", round_pause_h=0)
    await world.after()
    assert await world.after(hours=16) is None
    note = "the schedule: daily 03:00 UTC: not started, as nothing was labelled since the last round"
    assert await world.note() == note
    async with world.database.read() as session:
        told = (await session.get_one(Setting, NOTE)).updated
    assert await world.after(hours=1) is None
    assert await world.after(days=1) is None
    async with world.database.read() as session:
        assert (await session.get_one(Setting, NOTE)).updated == told
    await world.label(1)
    assert await world.after(hours=1) is None, "the time has passed; the next one counts"
    assert await world.after(days=1) == "r0001"
    assert await world.note() == ""


async def test_tick__a_round_that_failed_is_not_tried_again_with_the_same_labels(made: Callable[..., World]) -> None:
    world = made(round_after_labels=1, round_pause_h=1)
    await world.label(3)
    assert await world.after(minutes=1) == "r0001"
    await world.end("failed")
    assert await world.after(hours=2) is None
    assert "round r0001 failed with the same labels" in await world.note()
    await world.label(1)
    assert await world.after(hours=2) == "r0002"
    assert world.started[1].startswith("4 frames")


@pytest.mark.parametrize(
    ("text", "now", "last"),
    [
        ("daily 03:00", "2026-03-04T12:00", "2026-03-04T03:00"),
        ("daily 13:30", "2026-03-04T12:00", "2026-03-03T13:30"),
        ("Daily  12:00", "2026-03-04T12:00", "2026-03-04T12:00"),
        ("weekly wed 11:00", "2026-03-04T12:00", "2026-03-04T11:00"),
        ("weekly wed 13:00", "2026-03-04T12:00", "2026-02-25T13:00"),
        ("weekly sun 00:00", "2026-03-04T12:00", "2026-03-01T00:00"),
        ("weekly thu 23:59", "2026-03-04T12:00", "2026-02-26T23:59"),
    ],
)
def test_last__newest_time_that_has_come(text: str, now: str, last: str) -> None:
    assert parse(text).last(datetime.fromisoformat(f"{now}+00:00")) == datetime.fromisoformat(f"{last}+00:00")


@pytest.mark.parametrize(
    "text", ["hourly", "daily 24:00", "daily 3:00", "weekly 03:00", "weekly monday 03:00", "* * * *"]
)
def test_settings__a_schedule_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is no schedule; give 'daily HH:MM' or 'weekly mon HH:MM', in UTC"):
        load(data=tmp_path, round_schedule=text)


def test_rules__each_is_silent_where_it_is_off() -> None:
    known = State(NOON, 10_000, {"n/c": 10_000}, NOON - timedelta(days=30))
    assert set(rules()) == {"new-labels", "drift", "schedule"}
    assert [rule.due(known, Wanted()) for rule in rules().values()] == [None] * 3
    assert [rule.wish(Wanted()) for rule in rules().values()] == [""] * 3
