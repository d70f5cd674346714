"""What the centre's rooms share."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from central.store import database
from central.store.database import Database
from central.store.migrations import migrate


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database, made once: migrating takes time."""
    path = tmp_path_factory.mktemp("migrated") / "central.db"

    async def make() -> None:
        made = database.connect(database.sqlite_url(path))
        await migrate(made.engine)
        await made.close()

    asyncio.run(make())
    return path


@pytest_asyncio.fixture
async def db(tmp_path: Path, migrated: Path) -> AsyncIterator[Database]:
    """An empty, migrated database in a file."""
    shutil.copy(migrated, tmp_path / "central.db")
    made = database.connect(database.sqlite_url(tmp_path / "central.db"))
    yield made
    await made.close()
