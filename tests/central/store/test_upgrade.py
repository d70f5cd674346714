"""A database of every schema there ever was comes up to this one with all of its rows, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from central.store import database, migrations
from central.store.models import Base
from tests.servers import rows

REVISIONS = sorted(migrations.revisions())


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield database.sqlite_url(tmp_path / "old.db")
        return
    server = request.getfixturevalue("postgres")
    made = server.create()
    yield made
    server.drop(made)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_upgrade__keeps_every_row(fresh: str, revision: str) -> None:
    url = make_url(fresh)
    engine = create_engine(url.set(drivername={"sqlite+aiosqlite": "sqlite"}.get(url.drivername, "postgresql+psycopg")))
    db = database.connect(fresh)
    try:
        with engine.begin() as connection:
            migrations.build(connection, revision)
            made = rows.fill(connection)
        await migrations.migrate(db.engine)
        with engine.connect() as connection:
            assert rows.there(connection, made) == rows.in_order(made)
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    finally:
        await db.close()
        engine.dispose()
