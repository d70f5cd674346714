"""Rounds that start by themselves: asks the rules, and keeps to what holds for all of them.

one runs, or the pause is not over -> wait      a rule is due, nothing was labelled -> said once, not started
                                                a rule is due, and there is something to learn -> a round, its reason
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.jobs.rounds import OVER
from central.learn.rules import State, Wanted, rules
from central.learn.rules.schedule import parse
from central.settings import Settings
from central.store.database import Database
from central.store.models import DriftLook, Frame, Round, Setting
from protocols.messages import utc_now

_log = structlog.get_logger(__name__)
BY: Final = "rules"
"""Who started a round that nobody asked for."""
HANDLED: Final = "rounds.schedule"
"""Key of the time up to which the schedule was seen to."""
NOTE: Final = "rounds.note"
"""Key of why the last round that was due did not start."""
RECENT: Final = timedelta(days=7)
"""A camera that nobody looked at for so long is not known to drift."""

Start = Callable[[str, str], Awaitable[str]]
"""Start a round for somebody, for a reason; returns its id."""


@dataclass(frozen=True)
class Past:
    """The rounds so far: begin of the last one that was done, the newest of all, and whether one runs."""

    learned: datetime | None
    newest: Round | None
    running: bool


def wanted_of(settings: Settings) -> Wanted:
    """Return what `settings` ask of the rules."""
    return Wanted(settings.round_after_labels, settings.round_after_drift, settings.round_schedule)


async def past(session: AsyncSession) -> Past:
    """Return the rounds so far."""
    learned = await session.scalar(select(func.max(Round.created)).where(Round.state == "done"))
    running = await session.scalar(select(Round.id).where(Round.state.not_in(OVER)).limit(1))
    newest = (await session.scalars(select(Round).order_by(Round.created.desc(), Round.id.desc()).limit(1))).first()
    return Past(learned, newest, running is not None)


async def _drifting(session: AsyncSession, now: datetime) -> list[tuple[str, str]]:
    """Return the cameras whose newest look that had enough says drift."""
    newest = (
        select(func.max(DriftLook.id))
        .where(DriftLook.verdict != "not_enough", DriftLook.at >= now - RECENT)
        .group_by(DriftLook.node, DriftLook.camera)
    )
    query = select(DriftLook.node, DriftLook.camera).where(DriftLook.id.in_(newest), DriftLook.verdict == "drift")
    return [(row[0], row[1]) for row in await session.execute(query)]


async def _labelled(session: AsyncSession, since: datetime | None) -> dict[tuple[str, str], int]:
    """Return how many frames of each camera were labelled after `since`."""
    labelled = (Frame.state == "labelled", Frame.labelled_at.is_not(None))
    query = select(Frame.node, Frame.camera, func.count()).where(*labelled)
    if since is not None:
        query = query.where(Frame.labelled_at > since)
    return {(row[0], row[1]): row[2] for row in await session.execute(query.group_by(Frame.node, Frame.camera))}


async def state(session: AsyncSession, now: datetime, before: Past) -> State:
    """Return what the rules are asked about."""
    counts = await _labelled(session, before.learned)
    drifting = {f"{n}/{c}": counts.get((n, c), 0) for n, c in await _drifting(session, now)}
    row = await session.get(Setting, HANDLED)
    handled = None if row is None else datetime.fromisoformat(row.value)
    return State(now, sum(counts.values()), drifting, handled)


class Starter:
    """Asks the rules again and again. `start` starts a round; `clock` tells the time."""

    def __init__(
        self, database: Database, settings: Settings, start: Start, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database, self._wanted, self._start, self._clock = database, wanted_of(settings), start, clock
        self._pause = timedelta(hours=settings.round_pause_h)

    async def tick(self) -> str | None:
        """Ask once; return the id of the round that was started. Raises what `start` raises."""
        now = self._clock()
        async with self._database.read() as session:
            before = await past(session)
            known = await state(session, now, before)
        if known.handled is None:
            await self._set(HANDLED, now.isoformat())
        if before.running or self._resting(before, now):
            return None
        due = next((why for rule in rules().values() if (why := rule.due(known, self._wanted))), None)
        if due is None:
            return None
        nothing = await self._nothing(known, before)
        if nothing:
            await self._hold(f"{due}: not started, as {nothing}")
            await self._see_to(now)
            return None
        made = await self._start(BY, due)
        await self._see_to(now)
        await self._set(NOTE, "")
        _log.info("a round starts by itself", round=made, reason=due)
        return made

    def _resting(self, before: Past, now: datetime) -> bool:
        last = before.newest
        return last is not None and now < (last.finished or last.created) + self._pause

    async def _nothing(self, known: State, before: Past) -> str:
        """Return why there is nothing to learn; empty where there is."""
        if not known.new:
            return "nothing was labelled since the last round"
        last = before.newest
        if last is not None and last.state == "failed":
            async with self._database.read() as session:
                if not await _labelled(session, last.created):
                    return f"round {last.id} failed with the same labels ({last.detail[:200]})"
        return ""

    async def _see_to(self, now: datetime) -> None:
        if self._wanted.schedule:
            await self._set(HANDLED, parse(self._wanted.schedule).last(now).isoformat())

    async def _hold(self, note: str) -> None:
        async with self._database.read() as session:
            row = await session.get(Setting, NOTE)
        if row is None or row.value != note:
            _log.info("a round was due", note=note)
            await self._set(NOTE, note)

    async def _set(self, key: str, value: str) -> None:
        async with self._database.write() as session:
            row = await session.get(Setting, key) or Setting(key=key)
            row.value, row.updated = value, self._clock()
            session.add(row)
