"""Engine and transactions.

    async with database.read() as session: ...     one consistent view
    async with database.write() as session: ...    commits at the end, rolls back on any exception
    await database.run_read(work), run_write(work)  the same for a function that runs in a thread of its own: where many
                                                   statements follow each other, a hop per statement is most of the time

On SQLite a write begins with BEGIN IMMEDIATE, so a read-then-write inside it can neither lose an update nor fail
half-way because another writer came in between; writers of this process queue in order instead of polling for the
file lock. On PostgreSQL (`central.store.postgres`) they hold one lock instead, but for those that go `beside`. Never
open a `write` inside another one.

A server that restarts is waited for where nothing was begun yet; what `run_write` runs is begun again where it was
surely undone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from central.store import postgres

BUSY_TIMEOUT_MS: Final = 20_000
"""How long one process waits for another's write; a training round writes a few rows, never for seconds."""
PAGE_CACHE_KIB: Final = 16_384
"""Per connection; the indexes of a hundred thousand frames fit."""
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": postgres.DRIVER, "postgres": postgres.DRIVER}

T = TypeVar("T")


class DatabaseError(ValueError):
    """A database that cannot be used. The text says which, why, and what to do."""


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite file at `path`."""
    return f"sqlite+aiosqlite:///{path}"


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError("database URL: not a URL; give sqlite:///PATH or postgresql://USER@HOST/NAME") from None
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in _DRIVERS.values():
        raise DatabaseError(f"database URL: {parsed.drivername!r} is not supported; use sqlite or postgresql")
    if parsed.drivername.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise DatabaseError("database URL: SQLite needs a file, for example sqlite:////var/lib/wayside/central.db")
    return parsed


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # The driver's own transaction control would begin late and only for writes; `begin` below decides instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{PAGE_CACHE_KIB}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


class Database:
    """An engine with its kinds of transaction."""

    def __init__(self, engine: AsyncEngine, threads: Engine) -> None:
        """Use `engine`, and `threads` for what runs in threads, as `connect` made them."""
        self.engine, self._threads = engine, threads
        self._lite = engine.dialect.name == "sqlite"
        reads: dict[str, Any] = {} if self._lite else {"isolation_level": "REPEATABLE READ"}
        self._thread_reads = sessionmaker(threads.execution_options(**reads), expire_on_commit=False)
        self._thread_writes = sessionmaker(threads.execution_options(immediate=True), expire_on_commit=False)
        self._thread_adds = self._thread_writes if self._lite else sessionmaker(threads, expire_on_commit=False)
        self._reads = async_sessionmaker(engine.execution_options(**reads), expire_on_commit=False)
        self._writes = async_sessionmaker(engine.execution_options(immediate=True), expire_on_commit=False)
        self._turn = asyncio.Lock()
        """Who waits for another's write holds no connection meanwhile."""
        self._threads_at_work: set[asyncio.Future[Any]] = set()

    @asynccontextmanager
    async def read(self, *, wait: bool = True) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the database. What is changed in it is not kept. Without `wait` a server
        that does not answer is an error at once."""
        async with self._reads() as session:
            if wait:
                await self._reach(session)
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session that commits when the block ends; once that returned, the rows survive a power cut."""
        async with self._turn, self._writes() as session:
            await self._reach(session)
            yield session
            await session.commit()

    async def run_read(self, work: Callable[[Session], T]) -> T:
        """Return what `work` returns, which gets a session as `read` does, in a thread."""

        def run() -> T:
            with self._thread_reads() as session:
                self._reach_now(session)
                return work(session)

        return await self._in_thread(run)

    async def run_write(self, work: Callable[[Session], T], *, beside: bool = False) -> T:
        """Return what `work` returns, which gets a session as `write` does, in a thread; then it is committed. What is
        cancelled meanwhile may be committed all the same.

        On PostgreSQL `work` may run again from its start, and `beside` it runs at the same time as others do: for what
        adds rows of its own, and can stand that one of them is there already.
        """
        sessions = self._thread_adds if beside else self._thread_writes

        def run() -> T:
            until = time.monotonic() + postgres.RECONNECT_S
            while True:
                with sessions() as session:
                    self._reach_now(session)
                    try:
                        done = work(session)
                        session.flush()
                    except SQLAlchemyError as error:
                        if not postgres.repeatable(error) or time.monotonic() > until:
                            raise
                        continue
                    session.commit()
                    return done

        if beside and not self._lite:
            return await self._in_thread(run)
        async with self._turn:
            return await self._in_thread(run)

    async def _in_thread(self, run: Callable[[], T]) -> T:
        """Return what `run` returns. A thread cannot be cancelled: `close` waits for it, as it has a connection."""
        future = asyncio.get_running_loop().run_in_executor(None, run)
        self._threads_at_work.add(future)
        future.add_done_callback(self._threads_at_work.discard)
        return await asyncio.shield(future)

    async def _reach(self, session: AsyncSession) -> None:
        """Begin, on PostgreSQL as soon as its server can be reached."""
        until = time.monotonic() + postgres.RECONNECT_S
        while not self._lite:
            try:
                await session.connection()
                return
            except SQLAlchemyError as error:
                if not postgres.passes(error) or time.monotonic() > until:
                    raise
                await session.rollback()
            await asyncio.sleep(postgres.RETRY_S)

    def _reach_now(self, session: Session) -> None:
        until = time.monotonic() + postgres.RECONNECT_S
        while not self._lite:
            try:
                session.connection()
                return
            except SQLAlchemyError as error:
                if not postgres.passes(error) or time.monotonic() > until:
                    raise
                session.rollback()
            time.sleep(postgres.RETRY_S)

    async def close(self) -> None:
        """Close every connection, once nobody works with it."""
        while self._threads_at_work:
            await asyncio.gather(*self._threads_at_work, return_exceptions=True)
        await self.engine.dispose()
        await asyncio.to_thread(self._threads.dispose)


def connect(url: str) -> Database:
    """Return the database at `url` (``sqlite:///PATH`` or ``postgresql://...``). Raises DatabaseError.

    The file is made on first use; the tables by `central.store.migrations.migrate`.
    """
    parsed = _parse(url)
    how: dict[str, Any] = {"json_serializer": _json}
    if parsed.drivername == postgres.DRIVER:
        try:
            parsed, size = postgres.pool(parsed)
        except ValueError as error:
            raise DatabaseError(str(error)) from None
        how |= postgres.options(parsed, size)
    else:
        Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
    try:
        engine = create_async_engine(parsed, **how)
        threads = create_engine(parsed.set(drivername=parsed.drivername.replace("+aiosqlite", "")), **how)
    except ModuleNotFoundError as error:
        raise DatabaseError(f"database URL: {error.name} is not installed; pip install 'wayside[postgres]'") from None
    for each in (engine.sync_engine, threads):
        (_prepare_sqlite if engine.dialect.name == "sqlite" else postgres.prepare)(each)
    return Database(engine, threads)
