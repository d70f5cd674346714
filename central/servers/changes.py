"""What changed at one server, told to the listeners of all.

    emit here -> this server's listeners at once -> a count per kind in the database -> seen there -> their listeners

The counts are asked for again and again rather than announced by the database or the broker: that works alike on SQLite
and PostgreSQL, through every connection pool, and needs no rights at a broker that is not ours. It costs each server
one read of six rows per second, and a page learns of a change at another server within about one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, get_args

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from central.notify import Kind, Notifier
from central.store.database import Database
from central.store.models import ChangeCount

log = structlog.get_logger("central.servers")

POLL_S: Final = 0.75
"""Between looks; what changes meanwhile is one change per kind."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Changes:
    """Carries changes between `notifier` and the other servers of `database`."""

    def __init__(self, database: Database, notifier: Notifier) -> None:
        self._database, self._notifier = database, notifier
        self._mine: set[str] = set()
        self._heeded: dict[str, Callable[[], None]] = {}
        self._numbers: dict[str, int] = {}
        self._ours = False
        """Whether what is emitted now came from another server."""

    def heed(self, wish: str, work: Callable[[], None]) -> None:
        """Call `work` whenever another server asks for `wish`; to be said before the start, and at every server."""
        self._heeded[wish] = work

    async def ask(self, wish: str) -> None:
        """Ask the other servers for `wish`, now. Raises SQLAlchemyError."""
        await self._tell({wish})

    async def flush(self) -> None:
        """Tell the others what changed here, before the end. Never raises for a database that is away."""
        mine, self._mine = self._mine, set()
        if mine:
            try:
                await self._tell(mine)
            except (SQLAlchemyError, OSError) as error:
                log.warning("the last changes could not be shared", reason=str(error)[:300])

    def _note(self, kind: Kind) -> None:
        if not self._ours:
            self._mine.add(kind)

    async def start(self) -> None:
        """Begin with the counts as they are. Raises SQLAlchemyError."""
        async with self._database.write() as session:
            known = {row.kind: row.number for row in await session.scalars(select(ChangeCount))}
            session.add_all(ChangeCount(kind=k, number=0) for k in (*KINDS, *self._heeded) if k not in known)
        self._numbers = {kind: known.get(kind, 0) for kind in (*KINDS, *self._heeded)}

    async def tick(self) -> set[Kind]:
        """Tell the others what changed here, and the listeners here what changed there; return that. Raises
        SQLAlchemyError; what could not be told is told by the next call."""
        mine, self._mine = self._mine, set()
        try:
            if mine:
                await self._tell(mine)
            async with self._database.read() as session:
                rows = {row[0]: row[1] for row in await session.execute(select(ChangeCount.kind, ChangeCount.number))}
        except BaseException:
            self._mine |= mine
            raise
        found = {kind for kind in KINDS if rows.get(kind, 0) != self._numbers.get(kind, 0)}
        wished = [w for w in self._heeded if rows.get(w, 0) != self._numbers.get(w, 0)]
        self._numbers |= rows
        for wish in wished:
            self._heeded[wish]()
        self._ours = True
        try:
            for kind in KINDS:
                if kind in found:
                    self._notifier.emit(kind)
        finally:
            self._ours = False
        return found

    async def _tell(self, kinds: set[str]) -> None:
        """Count `kinds` up by one; that one is no news here."""
        async with self._database.write() as session:
            change = update(ChangeCount).where(ChangeCount.kind.in_(sorted(kinds)))
            await session.execute(
                change.values(number=ChangeCount.number + 1).execution_options(synchronize_session=False)
            )
        for kind in kinds:
            self._numbers[kind] = self._numbers.get(kind, 0) + 1

    async def run(self) -> None:
        """Do it until cancelled."""
        stop = self._notifier.listen(self._note)
        try:
            while True:
                try:
                    if not self._numbers:
                        await self.start()
                    await self.tick()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("changes could not be shared; trying again", reason=str(error)[:300])
                await asyncio.sleep(POLL_S)
        finally:
            stop()
