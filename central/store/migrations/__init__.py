"""How an older schema becomes this one. `migrate` runs at every start; a new revision is one file in ``versions``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from central.store import postgres, vectors
from central.store.database import DatabaseError

_FOLDER: Final = Path(__file__).parent


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def revisions() -> list[str]:
    """Return the known revisions, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _upgrade(connection: Connection) -> None:
    now = current(connection)
    known = revisions()
    if now is not None and now not in known:
        raise DatabaseError(
            f"database: its schema {now!r} is newer than this program knows ({known[0]!r}); "
            "start a newer version of Wayside, or restore a backup"
        )
    if now != known[0]:
        command.upgrade(_config(connection), "head")


def current(connection: Connection) -> str | None:
    """Return the revision of the database's schema; None where it has none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def build(connection: Connection, revision: str) -> None:
    """Make the tables of `revision` in an empty database. Raises DatabaseError where it is newer than this program."""
    known = revisions()
    if revision not in known:
        raise DatabaseError(f"schema {revision!r} is newer than this program knows ({known[0]!r}); use a newer Wayside")
    command.upgrade(_config(connection), revision)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the database to the schema of `central.store.models`, in one transaction. Raises DatabaseError.

    Of several servers that start at once, one does it and the others wait.
    """
    try:
        async with engine.execution_options(immediate=True).begin() as connection:
            if engine.dialect.name == "postgresql":
                await connection.run_sync(postgres.check, engine.url)
            await connection.run_sync(_upgrade)
            await connection.run_sync(vectors.install)
    except DatabaseError:
        raise
    except (OperationalError, ProgrammingError, ValueError) as error:
        if engine.dialect.name != "postgresql":
            raise
        told = postgres.explain(engine.url, error) if isinstance(error, SQLAlchemyError) else str(error)
        raise DatabaseError(told) from None
