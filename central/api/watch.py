"""What the centre watches by itself: whether cameras drift, and whether a round is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from central.api.context import Centre
from central.api.starter import Starter
from central.jobs import JobError, rounds
from central.jobs.rounds import RoundBusyError
from central.learn.drift import boost, watch
from central.store.models import DriftLook
from protocols.messages import utc_now

_log = structlog.get_logger(__name__)
TICK_S: Final = 15.0
"""Seconds between two times that the rules are asked."""


class Watch:
    """Looks again and again. `clock` tells the time."""

    def __init__(self, centre: Centre, clock: Callable[[], datetime] = utc_now) -> None:
        self._centre, self._clock = centre, clock
        self._starter = Starter(centre.database, centre.settings, self._start, clock)

    async def _start(self, by: str, reason: str) -> str:
        centre = self._centre
        return await rounds.start(
            centre.database, centre.jobs, centre.notifier, centre.settings.data, by,
            rounds.settings_of(centre.settings), centre.fleet.register, reason,
        )  # fmt: skip

    async def drift(self) -> list[DriftLook]:
        """Look at every camera, if it is time; return the looks."""
        settings, now = self._centre.settings, self._clock()
        if not settings.drift_every_h:
            return []
        async with self._centre.database.read() as session:
            last = await session.scalar(select(func.max(DriftLook.at)))
        if last is not None and now < last + timedelta(hours=settings.drift_every_h):
            return []
        labels = self._centre.profile.label_names
        found = await watch.look(self._centre.database, labels, now, settings.drift_every_h, settings.drift_boost_h)
        if found:
            self._centre.notifier.emit("node")
        return found

    async def shares(self, looked: bool) -> None:
        """Tell the nodes where a camera's larger share began or ended."""
        now = self._clock()
        async with self._centre.database.write() as session:
            over = await boost.expire(session, now)
            began = looked and await boost.began(session, now)
        if over or began:
            await self._centre.fleet.tell()

    async def tick(self) -> None:
        """Do what there is to do once. Raises SQLAlchemyError, JobError, OSError."""
        found = await self.drift()
        await self.shares(bool(found))
        try:
            await self._starter.tick()
        except RoundBusyError:
            return  # somebody was quicker

    async def run(self) -> None:
        """Do it for ever."""
        while True:
            try:
                await self.tick()
            except (SQLAlchemyError, JobError, OSError) as error:
                _log.warning("a watch failed; trying again", error=str(error)[:300])
            await asyncio.sleep(TICK_S)
