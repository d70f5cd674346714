"""Rows as values: out of one database in one view, into another in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import JSON, Boolean, Connection, DateTime, MetaData, Text, cast, func, inspect, select, text
from sqlalchemy import Table as SqlTable
from sqlalchemy.orm import Session

from central.store.backup import BackupError, Table
from central.store.models import Base, UtcDateTime
from protocols.messages import utc_now

ROWS: Final = 5000
"""Of one object: what is only ever added to is then stored once."""
LEFT_OUT: Final = frozenset({"session", "lease", "server", "duty", "change_count", "login_failure", "trust_file"})
"""Who was logged in, who had which frame open, and which servers ran: nobody, after a restore. Signed metadata is saved
as the files that it is."""
MAX_CHUNK: Final = 1 << 30
"""Bytes of one object's rows, unpacked."""

Store = Callable[[Iterable[bytes]], tuple[str, int]]
Load = Callable[[str], Iterable[bytes]]


def _pages(session: Session, table: SqlTable) -> Iterator[list[list[Any]]]:
    """Yield the rows of `table` in the order of its key; JSON as its text, so that none and null stay apart."""
    columns = [cast(c, Text) if isinstance(c.type, JSON) else c for c in table.columns]
    query = select(*columns).order_by(*table.primary_key.columns).execution_options(yield_per=ROWS)
    for page in session.execute(query).partitions():
        yield [list(row) for row in page]


def dump(session: Session, store: Store, told: Callable[[str], None] = lambda _: None) -> list[Table]:
    """Store the rows of every table through `store`, as `session` sees them, and return what there is.

    `session` is one of `Database.read`, so that all of it is one view.
    """
    found = []
    for table in Base.metadata.sorted_tables:
        if table.name in LEFT_OUT:
            continue
        told(table.name)
        chunks, rows = [], 0
        for page in _pages(session, table):
            packed = zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(page))
            chunks.append(store([packed])[0])
            rows += len(page)
        columns = tuple(str(c.name) for c in table.columns)
        found.append(Table(name=str(table.name), columns=columns, rows=rows, chunks=tuple(chunks)))
    return found


def _saved(load: Load, table: Table) -> Iterator[list[list[Any]]]:
    for chunk in table.chunks:
        packed = b"".join(load(chunk))
        try:
            page = msgspec.msgpack.decode(
                zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_CHUNK), type=list[list[Any]]
            )
        except (zstandard.ZstdError, msgspec.DecodeError) as error:
            raise BackupError(f"rows of {table.name!r}: damaged ({str(error)[:200]}); use another backup") from None
        if any(len(row) != len(table.columns) for row in page):
            raise BackupError(f"rows of {table.name!r}: damaged; use another backup")
        yield page


def _value(value: Any, kind: Any) -> Any:
    if isinstance(kind, JSON) and isinstance(value, str):
        return JSON.NULL if value == "null" else msgspec.json.decode(value)
    return value


def _typed(table: SqlTable) -> None:
    """Give the columns that were found in a database the types that their values have here."""
    for column in table.columns:
        if isinstance(column.type, JSON):
            column.type = JSON(none_as_null=True)
        elif isinstance(column.type, DateTime):
            column.type = UtcDateTime()


def fill(connection: Connection, tables: Iterable[Table], load: Load, told: Callable[[str], None]) -> int:
    """Insert `tables`, read through `load`, into a database of the schema that they come from; return how many rows.

    Raises BackupError where a table or a column is not there, or has rows already.
    """
    found = MetaData()
    found.reflect(connection)
    given = {table.name: table for table in tables}
    strange = sorted(set(given) - set(found.tables))
    if strange:
        raise BackupError(f"the schema of the backup has no table {strange[0]!r}; its manifest is damaged")
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
    count = 0
    for target in found.sorted_tables:
        table = given.get(target.name)
        if table is None:
            continue
        if connection.execute(select(func.count()).select_from(target)).scalar_one():
            connection.execute(target.delete())  # what a fresh schema brings with it
        told(table.name)
        count += _insert(connection, target, table, load)
        _go_on(connection, target)
    return count


def _insert(connection: Connection, target: SqlTable, table: Table, load: Load) -> int:
    lacking = [name for name in table.columns if name not in target.columns]
    if lacking:
        raise BackupError(f"table {table.name!r} has no column {lacking[0]!r}; the backup's manifest is damaged")
    _typed(target)
    kinds = [target.columns[name].type for name in table.columns]
    switches = [i for i, kind in enumerate(kinds) if isinstance(kind, Boolean)]
    count = 0
    for page in _saved(load, table):
        for row in page:
            for i in switches:
                row[i] = None if row[i] is None else bool(row[i])
        values = [
            {name: _value(v, kind) for name, v, kind in zip(table.columns, row, kinds, strict=True)} for row in page
        ]
        connection.execute(target.insert(), values)
        count += len(page)
    if count != table.rows:
        raise BackupError(f"rows of {table.name!r}: {count}, the manifest says {table.rows}; use another backup")
    return count


def _go_on(connection: Connection, table: SqlTable) -> None:
    """Let PostgreSQL count on from the highest number that was inserted."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": f'"{table.name}"', "column": column.name}
        ).scalar()
        highest = connection.execute(select(func.max(column))).scalar() if sequence else None
        if highest is not None:
            connection.execute(text("SELECT setval(:sequence, :value)"), {"sequence": sequence, "value": highest})


def empty(connection: Connection) -> bool:
    """Say whether the database has no table yet."""
    return not inspect(connection).get_table_names()


def now() -> str:
    """Return the name of a backup that is begun now."""
    return f"{utc_now():%Y%m%dT%H%M%S.%f}Z"
