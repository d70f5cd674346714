"""What became of every frame: the one judge of all tests that kill, cut or replay.

A node writes down which frames its spool accepted (``+ id``, once `Spool.add` returned) and which it is about to give
up by policy (``- id``, before it does). Each accepted frame must be stored once, or wait in the spool, or be among
those given up.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from central.store import blobs

JOURNAL = "spooled.txt"


@dataclass(frozen=True)
class Row:
    """A stored frame. `name` is the id that its node gave it, whatever the centre calls it."""

    name: str
    node: str
    boot: str
    sequence: int
    sha256: str
    blob: str


@dataclass
class Account:
    """What was promised, what was given up, what waits, and what is stored."""

    accepted: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)

    @property
    def missing(self) -> set[str]:
        """Frames that nobody can account for."""
        return self.accepted - self.given_up - self.waiting - {row.name for row in self.rows}

    @property
    def doubled(self) -> list[object]:
        """Frames, places or images that are stored more than once."""
        found: list[object] = []
        for keys in (
            [row.name for row in self.rows],
            [(row.node, row.boot, row.sequence) for row in self.rows],
            [row.sha256 for row in self.rows],
        ):
            found += [key for key, times in Counter(keys).items() if times > 1]
        return found


def journal(folder: Path) -> tuple[set[str], set[str]]:
    """Return the frames that a node accepted, and those that it gave up."""
    path = folder / JOURNAL
    lines = path.read_text().splitlines() if path.exists() else []
    whole = [line.split() for line in lines if len(line.split()) == 2]
    return {i for mark, i in whole if mark == "+"}, {i for mark, i in whole if mark == "-"}


def stored(centre: Path) -> list[Row]:
    """Return the frames that the centre with data folder `centre` has, read behind its back."""
    if not (centre / "central.db").exists():
        return []
    with sqlite3.connect(f"file:{centre / 'central.db'}?mode=ro", uri=True, timeout=30) as database:
        known = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'frame'").fetchone()[0]
        query = "SELECT name, node, boot, sequence, sha256, blob FROM frame"
        rows = database.execute(query).fetchall() if known else []
    database.close()
    return [Row(*row) for row in rows]


def account(node: Path, centre: Path) -> Account:
    """Return the account of a node and a centre by their data folders."""
    return account_of(node, lambda: stored(centre))


def account_of(node: Path, rows: Callable[[], list[Row]]) -> Account:
    """Return the account of a node by its data folder, and of a centre by what it has. In the order in which frames
    travel, so that one on its way meanwhile is seen at least once."""
    accepted, _ = journal(node)
    waiting = {p.stem.split("-", 2)[2] for p in (node / "spool").glob("*.frame")}
    found = rows()
    return Account(accepted, journal(node)[1], waiting, found)


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data`, hex."""
    return hashlib.sha256(data).hexdigest()


def broken_images(centre: Path, rows: list[Row]) -> list[str]:
    """Return the frames whose stored image is not the one that their row tells of."""
    return broken_in(blobs.connect(None, centre / "blobs"), rows)


def broken_in(store: blobs.Blobs, rows: list[Row]) -> list[str]:
    """Do the same for the images of any `store`, which is closed afterwards."""

    async def check(row: Row) -> bool:
        try:
            return digest(await store.read(row.blob)) == row.sha256
        except blobs.BlobError:
            return False

    async def all_of_them() -> list[str]:
        try:
            return [row.name for row in rows if not await check(row)]
        finally:
            store.close()

    return asyncio.run(all_of_them())
