"""A database on a real PostgreSQL server: what it says where it cannot be used, and how it stands a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session

from central.store import database
from central.store import postgres as dialect
from central.store.database import Database, DatabaseError
from central.store.migrations import migrate
from central.store.models import Node, Setting
from tests.servers.postgres import MissingError, Postgres


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A server that a test may kill."""
    try:
        server = Postgres.start()
    except MissingError as error:
        pytest.skip(str(error))
    yield server
    server.close()


@pytest.fixture(scope="module")
def template(own: Postgres) -> str:
    url = own.create()

    async def make() -> None:
        db = database.connect(url)
        await migrate(db.engine)
        await db.close()

    asyncio.run(make())
    return url


@pytest_asyncio.fixture
async def db(own: Postgres, template: str) -> AsyncIterator[Database]:
    made = database.connect(own.create(template) + "?pool=2")
    async with made.write() as session:
        session.add(Setting(key="n", value=0))
    yield made
    await made.close()


async def add(db: Database, times: int = 10) -> None:
    for _ in range(times):
        async with db.write() as session:
            row = (await session.execute(select(Setting).where(Setting.key == "n"))).scalar_one()
            await asyncio.sleep(0)
            row.value += 1


async def number(db: Database) -> Any:
    async with db.read() as session:
        return await session.scalar(select(Setting.value).where(Setting.key == "n"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (lambda s: s.url("nix"), 'database "nix" does not exist; create it'),
        (lambda s: s.url(password="secret"), "password authentication failed .*; check name and password"),
        (lambda s: f"postgresql://wayside@127.0.0.1:{s.port}/nix", "no password supplied; give a password"),
        (lambda s: "postgresql://somebody:secret@127.0.0.1:1/wayside", "refused; start the server, or check host"),
        (lambda s: "postgresql://somebody:secret@nowhere.invalid/wayside", "nowhere.invalid.*; check the host"),
        (lambda s: "postgresql:///wayside?host=/nowhere", "No such file.*; start the server"),
        (lambda s: s.url() + "?sslmode=require", "does not support SSL.*; leave sslmode out"),
        (lambda s: s.url() + "?colour=red", 'invalid connection option "colour"; leave it out'),
        (lambda s: s.url() + "?pool=0", "pool must be a number from 1 to 500"),
        (lambda s: s.create("template1") + "?options=-crole%3Dpoor", "permission denied .*; let this user create"),
    ],
)
async def test_migrate__says_in_a_line_what_is_wrong(postgres: Postgres, url: Any, says: str) -> None:
    if not postgres.run("SELECT 1 FROM pg_roles WHERE rolname = 'poor'"):
        postgres.run("CREATE ROLE poor")
    with pytest.raises(DatabaseError, match=says) as found:
        db = database.connect(url(postgres))
        try:
            await migrate(db.engine)
        finally:
            await db.close()
    assert "\n" not in str(found.value)
    assert "secret" not in str(found.value)


async def test_migrate__refuses_an_old_server_and_another_encoding(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    db = database.connect(postgres.url("latin"))
    with pytest.raises(DatabaseError, match=r"its encoding is LATIN1; use one from createdb --encoding UTF8"):
        await migrate(db.engine)
    monkeypatch.setattr(dialect, "OLDEST", 99)
    with pytest.raises(DatabaseError, match=r"PostgreSQL \d+ is too old; use 99 or newer"):
        await migrate(db.engine)
    await db.close()


async def test_migrate__of_servers_that_start_at_once_one_does_it(postgres: Postgres) -> None:
    url = postgres.create()
    servers = [database.connect(url) for _ in range(3)]
    await asyncio.gather(*(migrate(server.engine) for server in servers))
    for server in servers:
        await server.close()
    assert postgres.run("SELECT count(*) FROM alembic_version", url) == [(1,)]


async def test_write__servers_lose_no_update_of_each_other(db: Database) -> None:
    other = database.connect(db.engine.url.render_as_string(hide_password=False))
    await asyncio.gather(add(db), add(db), add(other))
    await other.close()
    assert await number(db) == 30


async def test_write__one_without_the_lock_would_lose_updates(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_writes", async_sessionmaker(db.engine, expire_on_commit=False))
    monkeypatch.setattr(db, "_turn", _NoTurn())
    await asyncio.gather(*(add(db) for _ in range(3)))
    assert await number(db) < 30


async def test_read__sees_one_state(db: Database) -> None:
    async with db.read() as session:
        before = await session.scalar(select(Setting.value).where(Setting.key == "n"))
        await add(db, 1)
        assert await session.scalar(select(Setting.value).where(Setting.key == "n")) == before
    assert await number(db) == before + 1


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_transactions__wait_for_a_server_that_restarts(own: Postgres, db: Database, end: str) -> None:
    await add(db, 2)
    await asyncio.to_thread(getattr(own, end))
    again = asyncio.create_task(asyncio.to_thread(own.restart))
    await asyncio.gather(add(db, 2), add(db, 2), number(db), db.run_read(_count), db.run_write(_more))
    await again
    assert await number(db) == 7


async def test_transactions__give_up_on_a_server_that_stays_away(
    own: Postgres, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "RECONNECT_S", 0.3)
    await asyncio.to_thread(own.stop)
    try:
        with pytest.raises(SQLAlchemyError):
            await add(db, 1)
        with pytest.raises(SQLAlchemyError):
            await db.run_write(_more)
    finally:
        await asyncio.to_thread(own.restart)
    await add(db, 1)
    assert await number(db) == 1


async def test_run_write__begins_again_what_was_cut_off(own: Postgres, db: Database) -> None:
    cuts = iter([True, False])

    def work(session: Session) -> None:
        _more(session)
        session.flush()
        if next(cuts):
            own.hang_up(str(db.engine.url.database))
        session.execute(text("SELECT 1"))

    await db.run_write(work)
    assert await number(db) == 1


async def test_run_write__those_beside_each_other_do_not_wait(db: Database) -> None:
    both = [asyncio.Event(), asyncio.Event()]
    loop = asyncio.get_running_loop()

    def work(mine: int) -> None:
        loop.call_soon_threadsafe(both[mine].set)
        asyncio.run_coroutine_threadsafe(both[1 - mine].wait(), loop).result(20)

    def insert(mine: int) -> Any:
        def run(session: Session) -> None:
            session.add(Node(name=f"n{mine}"))
            session.flush()
            work(mine)

        return run

    async with asyncio.timeout(30):
        await asyncio.gather(*(db.run_write(insert(mine), beside=True) for mine in range(2)))
    with pytest.raises(IntegrityError):
        await db.run_write(lambda session: session.execute(text("INSERT INTO node (name) VALUES ('n1')")), beside=True)


def _count(session: Session) -> int:
    return len(list(session.scalars(select(Setting.key))))


def _more(session: Session) -> None:
    row = session.execute(select(Setting).where(Setting.key == "n")).scalar_one()
    row.value += 1


class _NoTurn:
    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        return
