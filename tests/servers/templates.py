"""Databases for tests: made ready once, then copied for each test, on SQLite or on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from central.store import database
from central.store.database import Database
from central.store.migrations import migrate
from tests.servers.postgres import Postgres


async def _nothing(_: Database) -> None:
    return


@dataclass
class Templates:
    """Makes templates in `folder`, or on `server` where there is one, and copies them. A template goes by its URL."""

    folder: Path
    server: Postgres | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def make(self, prepare: Callable[[Database], Awaitable[None]] = _nothing) -> str:
        """Return a template with all tables, and what `prepare` puts into them."""
        path = self.folder / f"template{next(self._numbers)}.db"
        url = self.server.create() if self.server else database.sqlite_url(path)

        async def run() -> None:
            made = database.connect(url)
            await migrate(made.engine)
            await prepare(made)
            await made.close()

        asyncio.run(run())
        return url

    def copy(self, template: str, folder: Path) -> str:
        """Return the URL of a copy: on SQLite ``central.db`` in `folder`."""
        if self.server:
            return self.server.create(template)
        shutil.copy(template.partition("///")[2], folder / "central.db")
        return database.sqlite_url(folder / "central.db")

    def drop(self, url: str) -> None:
        """Remove a copy."""
        if self.server:
            self.server.drop(url)
