"""A centre goes from SQLite to PostgreSQL and back by its backup, and nothing of it changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from central.store import blobs as stores
from central.store import database as databases
from central.store.backup import bring
from central.store.backup.rows import LEFT_OUT
from central.store.backup.save import save
from central.store.backup.vault import Vault
from central.store.database import Database
from central.store.models import Annotation, Setting
from tests.servers import rows
from tests.servers.postgres import Postgres

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def elsewhere(postgres: Postgres) -> Iterator[str]:
    made = postgres.create()
    yield made
    postgres.drop(made)


async def moved(source: Database, folder: Path, target: str) -> None:
    """Back `source` up into `folder`, and restore that into `target`, an empty database."""
    folder.mkdir()
    store, vault = stores.connect(None, folder / "blobs"), Vault(folder / "vault")
    await save(folder, source, store, vault)
    database = databases.connect(target)
    await bring.database(vault, vault.read(None), database, lambda *_: None)
    await database.close()


async def held(database: Database, made: Rows) -> Rows:
    async with database.engine.connect() as connection:
        return await connection.run_sync(rows.there, made)


async def test_move__there_and_back_is_the_same(tmp_path: Path, migrated: Path, elsewhere: str) -> None:
    first = databases.connect(databases.sqlite_url(Path(shutil.copy(migrated, tmp_path / "first.db"))))
    async with first.write() as session:
        made = await (await session.connection()).run_sync(rows.fill)
    kept = {name: wanted for name, wanted in made.items() if name not in LEFT_OUT}
    await moved(first, tmp_path / "there", elsewhere)
    middle = databases.connect(elsewhere)
    assert await held(middle, kept) == rows.in_order(kept)
    back = databases.sqlite_url(tmp_path / "last.db")
    await moved(middle, tmp_path / "back", back)
    last = databases.connect(back)
    assert await held(last, kept) == rows.in_order(kept)
    for each in (first, middle, last):
        await each.close()


async def test_move__numbers_go_on_and_null_stays_apart_from_none(
    tmp_path: Path, migrated: Path, elsewhere: str
) -> None:
    first = databases.connect(databases.sqlite_url(Path(shutil.copy(migrated, tmp_path / "first.db"))))
    async with first.write() as session:
        made = await (await session.connection()).run_sync(rows.fill)
        session.add(Setting(key="none", value=None))
    await moved(first, tmp_path / "there", elsewhere)
    middle = databases.connect(elsewhere)
    frame = made["frame"][0]["id"]
    async with middle.write() as session:
        box = Annotation(frame=frame, x1=1, y1=2, x2=3, y2=4, label="car", source="node")
        session.add(box)
        await session.flush()
        assert box.id == max(row["id"] for row in made["annotation"]) + 1
        assert (await session.execute(text("SELECT value::text FROM setting WHERE key = 'none'"))).scalar() == "null"
    for each in (first, middle):
        await each.close()
