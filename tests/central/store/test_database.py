"""Transactions keep what they promise, and models and migrations agree."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.schema import CreateTable

from central.store import database
from central.store.database import Database, DatabaseError
from central.store.migrations import migrate
from central.store.models import Base, Camera, Node, Setting


@pytest.mark.asyncio
async def test_migrations__agree_with_models(db: Database) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


@pytest.mark.asyncio
async def test_migrate__twice_is_once(db: Database) -> None:
    async with db.write() as session:
        session.add(Node(name="n"))
    await migrate(db.engine)
    async with db.read() as session:
        assert await session.get(Node, "n") is not None


@pytest.mark.asyncio
async def test_migrate__refuses_newer_schema(db: Database) -> None:
    async with db.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    with pytest.raises(DatabaseError, match=r"newer than this program .*start a newer version"):
        await migrate(db.engine)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 20_000)]
)
async def test_connect__sqlite_is_durable(tmp_path: Path, pragma: str, value: object) -> None:
    lite = database.connect(database.sqlite_url(tmp_path / "central.db"))
    async with lite.read() as session:
        assert (await session.execute(text(f"PRAGMA {pragma}"))).scalar() == value
    await lite.close()


@pytest.mark.asyncio
async def test_write__two_read_then_writes_lose_no_update(url: str, db: Database) -> None:
    other = database.connect(url)
    async with db.write() as session:
        session.add(Setting(key="n", value=0))

    async def add(store: Database) -> None:
        for _ in range(10):
            async with store.write() as session:
                row = (await session.execute(select(Setting).where(Setting.key == "n"))).scalar_one()
                await asyncio.sleep(0)
                row.value += 1

    await asyncio.gather(add(db), add(db), add(other))
    await other.close()
    async with db.read() as session:
        row = await session.get(Setting, "n")
    assert row is not None
    assert row.value == 30


@pytest.mark.asyncio
async def test_write__rolls_back_on_error(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.write() as session:
            session.add(Node(name="n"))
            await session.flush()
            raise RuntimeError
    async with db.read() as session:
        assert await session.get(Node, "n") is None


@pytest.mark.asyncio
async def test_foreign_keys__a_camera_needs_its_node(db: Database) -> None:
    with pytest.raises(IntegrityError):
        async with db.write() as session:
            session.add(Camera(node="nobody", name="c"))


@pytest.mark.asyncio
async def test_times__come_back_as_aware_utc(db: Database) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, timezone(timedelta(hours=5)))
    async with db.write() as session:
        session.add(Node(name="n", since=moment))
    async with db.read() as session:
        node = (await session.execute(select(Node))).scalar_one()
    assert node.since == moment
    assert node.since.tzinfo is UTC


@pytest.mark.asyncio
async def test_times__naive_is_refused(db: Database) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        async with db.write() as session:
            session.add(Node(name="n", since=datetime(2026, 1, 1)))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "not a URL"),
        ("mysql://a/b", "not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_connect__bad_url(url: str, says: str) -> None:
    with pytest.raises(DatabaseError, match=says):
        database.connect(url)


def test_models__compile_for_postgresql() -> None:
    dialect: Any = postgresql.dialect  # its constructor has no types
    ddl = [str(CreateTable(table).compile(dialect=dialect())) for table in Base.metadata.sorted_tables]
    assert any("TIMESTAMP WITH TIME ZONE" in text for text in ddl)
    names = [index.name for table in Base.metadata.sorted_tables for index in table.indexes]
    assert len(names) == len(set(names)), "PostgreSQL knows one index of a name per schema"
