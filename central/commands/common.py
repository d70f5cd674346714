"""What every command does alike: settings, errors in one line, one JSON object, the store.

Exit status: 0 done, 1 done and the answer is no, 2 wrong use or wrong input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from central import settings as settings_module
from central.settings import Settings, SettingsError
from central.store import database as db
from central.store.database import Database, DatabaseError
from central.store.migrations import migrate
from central.store.models import Base

PROGRAM = "wayside-central"
Data = Annotated[Path | None, typer.Option("--data", help="Folder of everything that the centre keeps.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of standard output.")]


class CommandError(Exception):
    """Wrong use or wrong input. The text is one line: what, where, what to do."""


def say(text: str) -> None:
    """Tell the person, on standard error."""
    typer.echo(text, err=True)


def fail(text: str, status: int = 2) -> NoReturn:
    """End with one line and `status`."""
    say(f"{PROGRAM}: {' '.join(text.split())}")
    raise typer.Exit(status)


@contextmanager
def plain_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn what users can cause, `kinds` of it included, into one line and status 2."""
    expected: tuple[type[Exception], ...] = (CommandError, SettingsError, DatabaseError, *kinds)
    try:
        yield
    except expected as error:
        fail(str(error))
    except SQLAlchemyError as error:
        fail(f"database: {getattr(error, 'orig', None) or error}; is another program keeping it locked?")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")


def load(**options: Any) -> Settings:
    """Return the settings. Raises SettingsError."""
    return settings_module.load(**options)


def result(value: BaseModel | dict[str, Any], as_json: bool, text: str) -> None:
    """Print what came of it: `text` for people, or one JSON object."""
    if as_json:
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        sys.stdout.write(json.dumps(plain, default=str) + "\n")
    elif text:
        typer.echo(text)


@asynccontextmanager
async def store(settings: Settings, make: bool = False) -> AsyncIterator[Database]:
    """The database of the centre, brought to this version's schema; made where it is missing and `make`.

    Raises CommandError, DatabaseError.
    """
    if settings.database_url is None and not make and not (settings.data / "central.db").is_file():
        raise CommandError(
            f"{settings.data}: no centre's data here; start it once with '{PROGRAM} serve --data {settings.data}', "
            "or give its folder with --data"
        )
    if settings.database_url is None:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = db.connect(settings.database)
    try:
        await migrate(database.engine)
        yield database
    finally:
        await database.close()


async def drop(settings: Settings, model: type[Base], number: int) -> bool:
    """Delete row `number` of `model`; False where there is none."""
    async with store(settings) as database, database.write() as session:
        row = await session.get(model, number)
        if row is not None:
            await session.delete(row)
        return row is not None
