"""What the centre's rooms share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from central.store import database
from central.store.database import Database
from central.store.migrations import migrate
from tests.servers.templates import Templates


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite database, made once: migrating takes time."""
    path = tmp_path_factory.mktemp("migrated") / "central.db"

    async def make() -> None:
        made = database.connect(database.sqlite_url(path))
        await migrate(made.engine)
        await made.close()

    asyncio.run(make())
    return path


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Templates:
    """Makes databases of the kind that ``--database`` says."""
    lite = request.config.getoption("--database") == "sqlite"
    return Templates(tmp_path_factory.mktemp("templates"), None if lite else request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def empty(templates: Templates) -> str:
    """A template with the tables and no rows."""
    return templates.make()


@pytest.fixture
def url(tmp_path: Path, templates: Templates, empty: str) -> Iterator[str]:
    """The URL of an empty, migrated database of this test's own."""
    made = templates.copy(empty, tmp_path)
    yield made
    templates.drop(made)


@pytest_asyncio.fixture
async def db(url: str) -> AsyncIterator[Database]:
    """An empty, migrated database."""
    made = database.connect(url)
    yield made
    await made.close()
