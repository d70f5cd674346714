"""Signed metadata that every server can hand to nodes: the files of ``<data>/trust/`` as rows of the database.

    the server that signs    signs in its folder -> rows, in one transaction that its duty confirms -> nodes are told
    every other server       rows -> its folder, when a node asks for the newest

No key is ever in it. The online key is a file that the operator gives to each server that may sign (`keys/online.pem`);
the root keys are on none of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store.database import Database
from central.store.models import TrustFile
from protocols import files
from protocols.trust import TrustError

log = structlog.get_logger("central.signing")

NEWEST: Final = "timestamp.json"
"""Written last, read first: it names all the others."""
FIRST_ROOT: Final = "1.root.json"
Confirm = Callable[[AsyncSession], Awaitable[object]]


def version(stamp: bytes | None) -> int:
    """Return the version of a timestamp; 0 where there is none that can be read."""
    try:
        return int(json.loads(stamp or b"")["signed"]["version"])
    except (ValueError, KeyError, TypeError):
        return 0


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.json"))}


def _write(folder: Path, rows: Mapping[str, bytes]) -> None:
    """Make `folder` what `rows` say; whoever reads meanwhile sees the old state or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(rows, key=lambda n: n == NEWEST):
        path = folder / name
        if not path.is_file() or path.read_bytes() != rows[name]:
            files.write_atomic(path, rows[name])
    for path in folder.glob("*.json"):
        if path.name not in rows:
            path.unlink(missing_ok=True)


class TrustFiles:
    """The files of `folder` and the rows of `database`."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._lock = asyncio.Lock()
        self._seen: bytes | None = None

    async def pull(self, force: bool = False) -> bool:
        """Have here what the database has; return whether anything was new. What is newer here stays, unless `force`.

        Raises TrustError where the two are of different centres, OSError, SQLAlchemyError.
        """
        async with self._lock, self._database.read() as session:
            newest = await session.scalar(select(TrustFile.data).where(TrustFile.name == NEWEST))
            if newest is None or (newest == self._seen and not force):
                return False
            rows = {row.name: row.data for row in await session.scalars(select(TrustFile))}
            here = await asyncio.to_thread(_read, self._folder)
            self._check(here, rows)
            if not force and version(here.get(NEWEST)) > version(rows.get(NEWEST)):
                return False
            await asyncio.to_thread(_write, self._folder, rows)
            self._seen = newest
            return here != rows

    async def push(self, confirm: Confirm) -> None:
        """Let every server have what is here; `confirm` raises in the open transaction where it is not ours to say.

        Raises TrustError where the two are of different centres, what `confirm` raises, OSError, SQLAlchemyError.
        """
        async with self._lock:
            here = await asyncio.to_thread(_read, self._folder)
            async with self._database.write() as session:
                await confirm(session)
                rows = {row.name: row for row in await session.scalars(select(TrustFile))}
                self._check(here, {name: row.data for name, row in rows.items()})
                for name, data in here.items():
                    row = rows.get(name)
                    if row is None:
                        session.add(TrustFile(name=name, data=data))
                    elif row.data != data:
                        row.data = data
                gone = [name for name in rows if name not in here]
                if gone:
                    await session.execute(delete(TrustFile).where(TrustFile.name.in_(gone)))
            self._seen = here.get(NEWEST)

    async def first(self) -> None:
        """Put what is here into a database that has nothing yet. Raises as `push`."""

        async def nothing(session: AsyncSession) -> None:
            if await session.scalar(select(TrustFile.name).limit(1)) is not None:
                raise _ThereError

        try:
            await self.push(nothing)
        except _ThereError:
            await self.pull()

    def _check(self, here: Mapping[str, bytes], rows: Mapping[str, bytes]) -> None:
        mine, theirs = here.get(FIRST_ROOT), rows.get(FIRST_ROOT)
        if mine is not None and theirs is not None and mine != theirs:
            raise TrustError(
                f"{self._folder}: its root is not that of the other servers of this database; delete this folder, and "
                "give this server the online key of theirs"
            )


class _ThereError(Exception):
    """The database has metadata already."""
