"""Many rows into one table, with next to nothing per row beside the driver's own work.

SQLAlchemy builds the parameters of each row anew; where thousands of rows come per second, that is half of their cost.
The statement and the conversion of each column are SQLAlchemy's all the same, so every database it knows works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Value = Callable[[Mapping[str, Any]], Any]
"""What a row has in one column, as the driver takes it."""


class Bulk:
    """INSERT into `table` of rows that name `columns`; the others get the table's defaults."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._table, self._columns = table, tuple(columns)
        self._made: dict[str, tuple[str, bool, list[tuple[str, Value]]]] = {}

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert `rows`, which have the columns by name. Raises what the database says."""
        if not rows:
            return
        text, positional, values = self._for(connection.dialect)
        many: list[Any]
        if positional:
            many = [tuple([value(row) for _, value in values]) for row in rows]
        else:
            many = [{name: value(row) for name, value in values} for row in rows]
        connection.exec_driver_sql(text, many)

    def _for(self, dialect: Dialect) -> tuple[str, bool, list[tuple[str, Value]]]:
        if dialect.name not in self._made:
            compiled = insert(self._table).compile(dialect=dialect, column_keys=list(self._columns))
            assert isinstance(compiled, SQLCompiler)
            order = list(compiled.positiontup or []) if compiled.positional else list(compiled.bind_names.values())
            values = [(name, self._value(name, dialect)) for name in order]
            self._made[dialect.name] = (str(compiled), bool(compiled.positional), values)
        return self._made[dialect.name]

    def _value(self, name: str, dialect: Dialect) -> Value:
        column = self._table.c[name]
        convert = cast(Callable[[Any], Any], column.type.dialect_impl(dialect).bind_processor(dialect) or _same)
        if name in self._columns:
            return lambda row: convert(row[name])
        default: Any = column.default
        if default.is_callable:
            return lambda row: convert(default.arg(None))
        fixed = convert(default.arg)
        return lambda row: fixed


def _same(value: Any) -> Any:
    return value
