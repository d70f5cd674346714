"""Rows for every table of a database, whatever its schema: two of them full, the third as empty as it may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    inspect,
    select,
)

ROWS = 3
START = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def choices(connection: Connection, table: str) -> dict[str, list[str]]:
    """Return what the columns of `table` may hold, where a CHECK says so."""
    found = {}
    for check in inspect(connection).get_check_constraints(table):
        words = re.findall(r"'((?:[^']|'')*)'", str(check["sqltext"]))
        named = re.search(r"\(*\"?(\w+)\"?\)*(?:::text)?\)* (?:IN|= ANY)", str(check["sqltext"]))
        if named and words:
            found[named[1]] = words
    return found


def value(column: Column[Any], row: int, allowed: dict[str, list[str]]) -> Any:
    """Return what row number `row` has in `column`: something that is easily mangled on its way."""
    kind = column.type
    if column.name in allowed:
        return allowed[column.name][row % len(allowed[column.name])]
    if isinstance(kind, JSON):
        return {"of": [str(column.name), row, 0.1 + row, True, None, "ä'\"\\ 🚲"]}
    if isinstance(kind, Boolean):
        return row % 2 == 0
    if isinstance(kind, Numeric | Float):
        return row + 0.1
    if isinstance(kind, Integer):
        return row + 1
    if isinstance(kind, DateTime):
        return START + timedelta(hours=row)
    if isinstance(kind, LargeBinary):
        return bytes([0, 255, row])
    assert isinstance(kind, String), f"{column.table.name}.{column.name}: what does a {kind!r} hold?"
    return f"{row}ä {column.name}"[: kind.length]


def rows(connection: Connection, table: Table, made: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return rows for `table` that refer to those that were `made` for others."""
    allowed = choices(connection, table.name)
    found = []
    for row in range(ROWS):
        of: dict[str, Any] = {}
        for column in table.columns:
            of[column.name] = value(column, row, allowed)
            if column.nullable and row == 2:
                of[column.name] = None
            elif column.foreign_keys:
                parent = next(iter(column.foreign_keys)).column
                of[column.name] = made[parent.table.name][row][parent.name]
        found.append(of)
    return found


def fill(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Put rows into every table; return them."""
    held = MetaData()
    held.reflect(connection)
    made: dict[str, list[dict[str, Any]]] = {}
    for table in held.sorted_tables:
        if table.name != "alembic_version":
            connection.execute(table.delete())
    for table in held.sorted_tables:
        if table.name != "alembic_version":
            made[table.name] = rows(connection, table, made)
            connection.execute(table.insert(), made[table.name])
    return made


def there(connection: Connection, made: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return what is in the columns that `made` tells of, in its order."""
    held = MetaData()
    held.reflect(connection)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, wanted in made.items():
        table = held.tables[name]
        columns = [table.c[column] for column in wanted[0]]
        got = [dict(row) for row in connection.execute(select(*columns)).mappings()]
        for row in got:
            for key, told in row.items():
                if isinstance(told, datetime):
                    row[key] = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        found[name] = got
    return in_order(found)


def in_order(made: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return `made` as `there` returns what it finds."""
    return {name: sorted(wanted, key=repr) for name, wanted in made.items()}
