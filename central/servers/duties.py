"""Background work that exactly one server does.

    free, or its holder dead -> taken (fence + 1) -> its work runs here -> given back, or lost -> its work is cancelled

A duty is a row; its holder renews nothing but its own beat (`members`). Taking compares and sets in one statement: the
holder, the fence, and, where the holder is another server, the beat that stood still. Work that writes something which
must not be written by a holder of yesterday calls `confirm` in its transaction: it raises where the fence moved on,
and makes whoever wants to take the duty wait for the commit.

With no database to share (`alone`), every duty is this server's at once, and nothing is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from central.servers.members import TAKE_S, Members, Seen
from central.store.database import Database
from central.store.models import Duty, Server
from protocols.messages import utc_now

log = structlog.get_logger("central.servers")

BEAT_S: Final = 2.0
"""Between two beats: one small commit each."""
HOLD_S: Final = 6.0
"""Seconds without a beat that was committed after which a server stops its duties by itself: three missed beats, and
four seconds before anybody else may take them."""
CHECK_S: Final = 0.5
"""Between looks at the time since the last beat."""
END_S: Final = 5.0
"""For work to end once it is cancelled."""
AGAIN_S: Final = 1.0
"""Before work that failed is started again."""
GONE: Final = "the duty passed to another server"

Work = Callable[[], Coroutine[Any, Any, None]]


class LostError(Exception):
    """A duty that is another server's by now."""


@dataclass
class _Known:
    works: list[tuple[str, Work]] = field(default_factory=list)
    able: Callable[[], bool] = lambda: True
    fence: int | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


async def keep(work: Work, name: str) -> None:
    """Run `work`, and again whenever it ends, until cancelled."""
    while True:
        try:
            await work()
        except Exception:
            # A boundary: one part that fails, for whatever reason, must not end the centre in silence.
            log.exception("a part of the centre failed; starting it again", part=name)
        await asyncio.sleep(AGAIN_S)


class Duties:
    """The duties of this server. `members` None: there is no other one."""

    def __init__(
        self,
        database: Database,
        members: Members | None,
        beat_s: float = BEAT_S,
        hold_s: float = HOLD_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        take_s = members.take_s if members is not None else TAKE_S
        if not 0 < beat_s < hold_s < take_s:
            raise ValueError(f"beat {beat_s} s, hold {hold_s} s and take {take_s} s must be in this order")
        self._database, self.members = database, members
        self._beat_s, self._hold_s, self._monotonic = beat_s, hold_s, monotonic
        self._known: dict[str, _Known] = {}
        self._alive = monotonic()
        self._draining = self._joined = False
        self._entered: set[str] = set()
        self._look = asyncio.Event()
        self.seen: dict[str, Seen] = {}
        """Every server as of the last beat."""

    @property
    def held(self) -> dict[str, int]:
        """The duties of this server, with their fences."""
        return {name: known.fence for name, known in self._known.items() if known.fence is not None}

    def add(self, name: str, work: Work, part: str = "") -> None:
        """Do `work` for ever while this server has the duty `name`; several works may belong to one."""
        known = self._known.setdefault(name, _Known())
        known.works.append((part or name, work))
        if known.fence is not None:
            known.tasks.append(asyncio.create_task(keep(work, part or name), name=part or name))
        self._look.set()

    def need(self, name: str, able: Callable[[], bool]) -> None:
        """Take the duty `name` only while `able` says that this server can do it."""
        self._known.setdefault(name, _Known()).able = able

    async def confirm(self, session: AsyncSession, name: str) -> int:
        """Return the fence of duty `name`, which this server has until the open write transaction ended. Raises
        LostError where it has not."""
        fence = self.held.get(name)
        if fence is None:
            raise LostError(f"duty {name}: not this server's")
        if self.members is not None:
            query = select(Duty.fence).where(Duty.name == name, Duty.holder == self.members.me.id).with_for_update()
            if await session.scalar(query) != fence:
                raise LostError(f"duty {name}: {GONE}")
        return fence

    # Once per beat: show that this server lives, see what it has, take what is free.

    async def tick(self) -> None:
        """Beat once. Raises SQLAlchemyError; duties are then kept until `watch` says that it took too long."""
        if self.members is None:
            able = {} if self._draining else {name: 1 for name, known in self._known.items() if known.able()}
            self._settle(able)
            return
        began = self._monotonic()
        if set(self._known) - self._entered:
            await self._database.run_write(self._enter)
        mine = await self._database.run_write(self._beat, beside=True)
        if self._monotonic() - began < self._hold_s:  # else it was stored too late to count
            self._alive = began
            self._settle(mine)

    def _enter(self, session: Session) -> None:
        """Have a row for each duty, in a transaction that no other writer comes between."""
        names = set(self._known)
        there = set(session.scalars(select(Duty.name)))
        session.add_all(Duty(name=name) for name in sorted(names - there))
        self._entered = names

    def _beat(self, session: Session) -> dict[str, int]:
        """Show that this server lives, and return what it has once the write transaction is committed."""
        assert self.members is not None
        if not self.members.beat(session, "draining" if self._draining else "serving"):
            if self._joined:
                log.error("this server's id was taken by another one; was its folder copied? It goes on as a new one")
                self.members.me.renew()
            self.members.join(session)
        self._joined = True
        self.seen = self.members.look(session)
        return self._take(session)

    def _take(self, session: Session) -> dict[str, int]:
        """Return the duties that this server has once the open write transaction is committed, with their fences."""
        assert self.members is not None
        me, mine = self.members.me.id, {}
        rows = {row.name: row for row in session.scalars(select(Duty).order_by(Duty.name))}
        for name, known in sorted(self._known.items()):  # all in one order, so that no two wait for each other
            row = rows.get(name)
            if row is None:
                continue
            if row.holder == me and known.fence == row.fence:
                mine[name] = row.fence
            elif not self._draining and known.able() and (fence := self._seize(session, row)) is not None:
                mine[name] = fence
        self.members.forget(session, list(self.seen.values()), {row.holder for row in rows.values()})
        return mine

    def _seize(self, session: Session, row: Duty) -> int | None:
        """Take the duty of `row` where it is free, this server's from an earlier start, or its holder's who is dead;
        return its fence, None where it is not to be had."""
        assert self.members is not None
        conditions = [Duty.name == row.name, Duty.holder == row.holder, Duty.fence == row.fence]
        if row.holder not in ("", self.members.me.id):
            holder = self.seen.get(row.holder)
            if holder is not None and holder.silent_s < self.members.take_s:
                return None
            if holder is not None:  # not if it came back to life just now
                conditions.append(
                    select(Server.id).where(Server.id == row.holder, Server.beat == holder.row.beat).exists()
                )
        change = update(Duty).where(*conditions).values(
            holder=self.members.me.id, fence=Duty.fence + 1, since=utc_now()
        )  # fmt: skip
        done = session.execute(change.returning(Duty.fence).execution_options(synchronize_session=False))
        return done.scalar()

    def _settle(self, mine: dict[str, int]) -> None:
        """Start the work of duties that are new here, and cancel that of those that are gone."""
        for name, known in self._known.items():
            fence = mine.get(name)
            if fence == known.fence:
                continue
            if known.fence is not None:
                log.warning("a duty is this server's no more", duty=name)
                self._cancel(known)
            known.fence = fence
            if fence is not None:
                log.info("a duty is this server's", duty=name, fence=fence)
                known.tasks = [asyncio.create_task(keep(work, part), name=part) for part, work in known.works]

    @staticmethod
    def _cancel(known: _Known) -> list[asyncio.Task[None]]:
        for task in known.tasks:
            task.cancel()
        ended, known.tasks, known.fence = known.tasks, [], None
        return ended

    def watch(self) -> None:
        """Stop every duty where this server could not show for `hold_s` that it lives: others may soon take them."""
        if self.members is None or self._monotonic() - self._alive < self._hold_s:
            return
        for name, known in self._known.items():
            if known.fence is not None:
                log.error("no beat was stored for too long; the duty is stopped here", duty=name)
                self._cancel(known)

    async def run(self) -> None:
        """Beat until cancelled."""
        watching = asyncio.create_task(self._watch(), name="duties-watch")
        try:
            while True:
                try:
                    await self.tick()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("no beat could be stored; trying again", reason=str(error)[:300])
                self._look.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._look.wait(), None if self.members is None else self._beat_s)
        finally:
            watching.cancel()
            await asyncio.gather(*self._stop(), return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(CHECK_S, self._hold_s / 4))
            self.watch()

    def _stop(self) -> Sequence[asyncio.Task[None]]:
        return [task for known in self._known.values() for task in self._cancel(known)]

    async def drain(self) -> None:
        """Take nothing any more, end the work of every duty, then give them all to whoever wants them. Never raises
        for a database that is away: others then wait until this server counts as dead."""
        self._draining = True
        held, tasks = self.held, self._stop()
        if tasks:
            await asyncio.wait(tasks, timeout=END_S)
        if self.members is None:
            return
        for name in held:
            log.info("a duty is given back", duty=name)
        me = self.members.me.id

        def give_back(session: Session) -> None:
            for name, fence in sorted(held.items()):
                mine = (Duty.name == name, Duty.holder == me, Duty.fence == fence)
                session.execute(update(Duty).where(*mine).values(holder="", since=utc_now()))

        try:
            await self._database.run_write(self._beat, beside=True)
            await self._database.run_write(give_back, beside=True)
        except (SQLAlchemyError, OSError) as error:
            log.warning("the duties could not be given back; they will be taken over", reason=str(error)[:300])

    async def leave(self) -> None:
        """Take this server out of the list. Never raises for a database that is away."""
        if self.members is not None:
            try:
                await self._database.run_write(self.members.leave, beside=True)
            except (SQLAlchemyError, OSError) as error:
                log.warning("this server stays in the list for a while", reason=str(error)[:300])
