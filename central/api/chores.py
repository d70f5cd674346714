"""What the centre does by itself while it serves.

releases    notices releases that another process made (a command, another server) and tells the nodes
rollouts    takes releases through the fleet in waves (`central.releases.rollout`)
proposals   has every source of the profile propose for what is new to it
order       has the queue put in order, and what to ask thought over, when frames came or labels changed
auto        reviews in place of people, where the settings say so
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from central.annotate.asking import order
from central.annotate.proposers import job
from central.api.context import Centre
from central.jobs import JobError, rows
from central.jobs.rounds import OVER
from central.releases.offers import newest
from central.store.models import Job, Round
from protocols.messages import utc_now

_log = structlog.get_logger(__name__)
LOOK_S: Final = 2.0
"""Seconds between two looks at which release counts."""
ROLLOUT_SHARE: Final = 0.05
"""Of the time, at most, goes into looks at rollouts: one of a thousand nodes takes a part of a second."""
PROPOSE_S: Final = 30.0
"""Seconds between two looks for what is new to a source: each may start a process of some seconds."""
ORDER_S: Final = 60.0
"""Seconds between two runs that put the queue in order, each a process of some seconds; what arrives meanwhile has the
place that its node's value gives it, and what is answered its next question at once."""

SWEEP_S: Final = 3600.0
"""Seconds between two looks for old jobs."""
RECENT: Final = 4
"""Jobs that may still run: one of each kind, and as many that are just ending."""


class Rollouts(Protocol):
    """What advances rollouts (`central.releases.rollout.advance.Engine`)."""

    async def tick(self) -> None:
        """Look at every rollout once. Raises SQLAlchemyError."""
        ...


class Chores:
    """The state of what is done again and again. `tell_all` publishes the newest release to every node."""

    def __init__(
        self,
        centre: Centre,
        tell_all: Callable[[], Awaitable[None]],
        fetch: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        """`fetch` has a pack that another server registered here."""
        self._centre, self._tell_all, self._fetch = centre, tell_all, fetch
        self._number: int | None = None
        self._begun: list[str] = []
        """Jobs of late; most are over."""
        self._proposing = self._ordering = False
        self._ordered = self._proposed = ""

    async def releases(self) -> str | None:
        """Return the address of the released pack; tell the nodes where it was released by somebody else."""
        async with self._centre.database.read() as session:
            release = await newest(session)
        number = 0 if release is None else release.number
        if self._number is not None and number != self._number:
            await self._tell_all()
            self._centre.notifier.emit("release")
        self._number = number
        return None if release is None else release.pack

    async def proposals(self, pack: str | None) -> bool:
        """Start a job that proposes for whatever is new, with `pack`; False where it was not even looked for.

        Where nothing changed since a job that was through with everything, there is nothing new.
        """
        centre, project = self._centre, self._centre.profile
        if pack is not None and self._fetch is not None:
            await self._fetch(pack)
        folder = None if pack is None else centre.settings.packs / pack
        if folder is None or not folder.is_dir():
            pack = folder = None
        async with centre.database.read() as session:
            busy = await session.scalar(select(Round.id).where(Round.state.not_in(OVER)))
            backlog = select(Job.id).where(Job.kind == "scoring", Job.state.in_(rows.LIVE))
            busy = busy or await session.scalar(backlog.limit(1))  # both would look at the same frames
            now = f"{pack} {project.proposers} {project.label_names} {await order.mark(session)}"
            if self._proposing or busy is not None or now == self._proposed:
                return False
            if not await job.waiting(session, project.proposers, pack, centre.settings.propose_every):
                self._proposed = now
                return True
        args = {
            "proposers": [given.model_dump(mode="json") for given in project.proposers],
            "labels": list(project.label_names), "tags": list(project.tag_names),
            "pack": None if folder is None else str(folder), "every": centre.settings.propose_every,
        }  # fmt: skip
        secrets = {
            "database_url": centre.settings.database,
            "blob_url": centre.settings.blob_url,
            "blob_folder": str(centre.settings.data / "blobs"),
        }
        self._proposing = True
        try:
            self._begun.append(await centre.jobs.submit(job.FUNCTION, args, self._heard, secrets))
        except JobError:
            self._proposing = False
            raise
        return True

    async def order(self) -> bool:
        """Start a job that puts the queue in order; False where nothing changed since the last one."""
        centre = self._centre
        async with centre.database.read() as session:
            now = await order.mark(session)
        project = centre.profile
        now = f"{now} {project.queue.strategy} {project.label_names} {project.tag_names}"
        if self._ordering or now == self._ordered:
            return False
        args = {
            "labels": list(project.label_names), "tags": list(project.tag_names),
            "strategy": centre.settings.queue_strategy or project.queue.strategy,
        }  # fmt: skip
        self._ordering, self._ordered = True, now
        try:
            secrets = {"database_url": centre.settings.database}
            self._begun.append(await centre.jobs.submit(order.FUNCTION, args, self._arranged, secrets))
        except JobError:
            self._ordering = False
            raise
        return True

    async def _arranged(self, kind: Literal["report", "end"], step: Mapping[str, Any]) -> None:
        if kind == "end":
            self._ordering = False
            self._centre.notifier.emit("frame")
            if step["state"] == "failed":
                _log.warning("the queue was not put in order", reason=step.get("detail"))

    async def _heard(self, kind: Literal["report", "end"], step: Mapping[str, Any]) -> None:
        self._centre.notifier.emit("frame")
        if kind != "end":
            return
        self._proposing, self._ordered = False, ""
        if step["state"] == "failed":
            _log.warning("proposals failed", reason=step.get("detail"))
        for source, text in (step.get("result") or {}).get("troubles", {}).items():
            _log.warning("a source of proposals cannot be used", source=source, reason=text)

    async def rollouts(self, engine: Rollouts) -> None:
        """Advance rollouts, for ever."""
        while True:
            began = time.monotonic()
            try:
                await engine.tick()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("rollouts were not looked at; trying again", error=str(error)[:300])
            await asyncio.sleep(max(LOOK_S, (time.monotonic() - began) / ROLLOUT_SHARE))

    async def sweep(self) -> None:
        """Delete the jobs that the centre gave itself long ago, every SWEEP_S, for ever."""
        while True:
            pause = SWEEP_S
            try:
                async with self._centre.database.write() as session:
                    await rows.forget(session, utc_now())
            except (SQLAlchemyError, OSError) as error:
                _log.warning("old jobs were not deleted; trying again", error=str(error)[:300])
                pause = LOOK_S
            await asyncio.sleep(pause)

    async def watch_releases(self) -> None:
        """Tell the nodes of releases that somebody else made, for ever."""
        while True:
            try:
                await self.releases()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("releases were not looked at; trying again", error=str(error)[:300])
            await asyncio.sleep(LOOK_S)

    async def _released(self) -> str | None:
        async with self._centre.database.read() as session:
            release = await newest(session)
        return None if release is None else release.pack

    async def run(self) -> None:
        """Have the queue put in order and proposals made, for ever; what runs then ends with it."""
        self._proposing = self._ordering = False
        self._ordered = self._proposed = ""
        try:
            await self._run()
        finally:
            begun, self._begun = self._begun, []
            await asyncio.gather(*map(self._centre.jobs.cancel, begun), return_exceptions=True)

    async def _run(self) -> None:
        since, ordered = PROPOSE_S, ORDER_S
        while True:
            try:
                if ordered >= ORDER_S:
                    ordered = 0.0 if await self.order() else ordered
                if since >= PROPOSE_S and self._centre.settings.propose:
                    since = 0.0 if await self.proposals(await self._released()) else since
            except (SQLAlchemyError, JobError, OSError) as error:
                _log.warning("a chore failed; trying again", error=str(error)[:300])
            self._begun = self._begun[-RECENT:]
            await asyncio.sleep(LOOK_S)
            since, ordered = since + LOOK_S, ordered + LOOK_S
