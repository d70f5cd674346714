"""What the centre's rooms share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from central.store import database
from central.store.database import Database
from central.store.migrations import migrate


@pytest_asyncio.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty, migrated database in a file."""
    made = database.connect(database.sqlite_url(tmp_path / "central.db"))
    await migrate(made.engine)
    yield made
    await made.close()
