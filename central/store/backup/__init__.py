"""Everything that a centre keeps, saved while it runs, and brought back: on the same engines, or on others.

    rows of one consistent view, files, blobs -> Vault (each content once, by its hash) -> manifest, written last
    manifest -> a folder beside the place, and one transaction -> the centre as it was

The vault is a folder: ``objects/ab/<sha256>`` and ``backups/<time>.json``. A backup that was ended half-way has no
manifest, so there is none; what it wrote is used by the next one. Rows are saved as values, not as a database's files:
what one machine kept in SQLite can be brought back into PostgreSQL.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

FORMAT: Final = 1
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0)]


class BackupError(ValueError):
    """A backup that cannot be made, read or brought back. The text is one line: what, where, what to do."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: `path` with slashes, below the data folder (or a key of the object store)."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: Digest
    size: Count
    changed: int = 0
    """When the file was written, ns: one of the same size and time is not read again."""
    mode: Annotated[int, Meta(ge=0, le=0o777)] = 0o600


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of one table, in objects of some thousand rows each."""

    name: str
    columns: tuple[str, ...]
    rows: Count
    chunks: tuple[Digest, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. Its name is the time at which its view of the rows was taken."""

    format: int
    at: str
    version: str
    """Of the program that wrote it."""
    revision: str
    """Of the database's schema."""
    database: str
    """Kind of engine that the rows come from; they can go to any."""
    tables: tuple[Table, ...]
    files: tuple[Kept, ...]
    blobs: tuple[Kept, ...]
    """Images that lie in an object store; those in a folder are among `files`."""
    missing: Count = 0
    """Images that a row names and that were not there (removed while the backup ran, or lost before)."""
