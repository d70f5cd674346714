"""Bulk inserts: the rows are those that SQLAlchemy's own insert makes, on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.dialects.postgresql import psycopg

from central.store.bulk import Bulk
from central.store.models import UtcDateTime

SEEN = datetime(2025, 1, 1, tzinfo=UTC)
THING = Table(
    "thing", MetaData(), Column("id", Integer, primary_key=True), Column("index", Integer), Column("name", String(9)),
    Column("at", UtcDateTime), Column("what", JSON), Column("seen", UtcDateTime, default=lambda: SEEN),
    Column("tags", JSON, default=dict), Column("count", Integer, default=3),
)  # fmt: skip
COLUMNS = ("id", "index", "name", "at", "what")
ROWS: list[dict[str, Any]] = [
    {"id": 1, "index": 7, "name": "a", "at": datetime(2026, 1, 2, tzinfo=UTC), "what": {"a": [1, None]}},
    {"id": 2, "index": None, "name": None, "at": None, "what": []},
]


def test_run__makes_the_rows_that_a_plain_insert_makes() -> None:
    found = []
    for how in ("bulk", "plain"):
        engine = create_engine("sqlite://")
        THING.metadata.create_all(engine)
        with engine.begin() as connection:
            if how == "bulk":
                Bulk(THING, COLUMNS).run(connection, ROWS)
            else:
                connection.execute(insert(THING), ROWS)
            raw = list(connection.exec_driver_sql("SELECT * FROM thing"))
            found.append((list(connection.execute(select(THING))), raw))
        engine.dispose()
    assert found[0] == found[1]


@pytest.mark.parametrize("rows", [[], ROWS[:1]])
def test_run__takes_any_number(rows: list[dict[str, Any]]) -> None:
    engine = create_engine("sqlite://")
    THING.metadata.create_all(engine)
    with engine.begin() as connection:
        Bulk(THING, COLUMNS).run(connection, rows)
        assert len(list(connection.execute(select(THING)))) == len(rows)
    engine.dispose()


def test_run__a_naive_time_is_refused_as_everywhere() -> None:
    engine = create_engine("sqlite://")
    THING.metadata.create_all(engine)
    with engine.begin() as connection, pytest.raises(ValueError, match="without a zone"):
        Bulk(THING, COLUMNS).run(connection, [{**ROWS[0], "at": datetime(2026, 1, 2)}])
    engine.dispose()


def test_run__names_its_parameters_where_the_database_wants_that() -> None:
    sent: list[Any] = []

    class Connection:
        dialect = psycopg.dialect()  # type: ignore[no-untyped-call]

        def exec_driver_sql(self, text: str, rows: list[Any]) -> None:
            sent.append((text, rows))

    plain = Table(
        "plain", MetaData(), Column("id", Integer), Column("name", String(9)), Column("n", Integer, default=3)
    )
    Bulk(plain, ("id", "name")).run(Connection(), ROWS)  # type: ignore[arg-type]
    text, rows = sent[0]
    assert "%(id)s" in text and "%(name)s" in text
    assert [(row["id"], row["name"], row["n"]) for row in rows] == [(1, "a", 3), (2, None, 3)]
