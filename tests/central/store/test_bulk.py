"""Bulk inserts: the rows are those that SQLAlchemy's own insert makes, on every database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Integer, LargeBinary, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.dialects.postgresql import psycopg

from central.store.bulk import Bulk
from central.store.models import UtcDateTime
from tests.servers.postgres import Postgres

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


class Told:
    """A connection that keeps what it is told."""

    dialect = psycopg.dialect()  # type: ignore[no-untyped-call]

    def __init__(self) -> None:
        self.text = ""
        self.given: dict[str, str] = {}

    def exec_driver_sql(self, text: str, given: dict[str, str]) -> None:
        self.text, self.given = text, given


def test_run__postgresql_gets_one_statement_for_all_rows() -> None:
    told = Told()
    Bulk(THING, COLUMNS).run(told, ROWS)  # type: ignore[arg-type]
    assert "json_to_recordset(%(rows)s::json)" in told.text
    assert '"name" VARCHAR(9)' in told.text and '"what" JSON' in told.text
    rows = json.loads(told.given["rows"])
    assert [(row["id"], row["name"], row["count"], row["what"]) for row in rows] == [
        (1, "a", 3, {"a": [1, None]}), (2, None, 3, []),
    ]  # fmt: skip
    assert rows[0]["at"] == "2026-01-02T00:00:00Z"


def test_run__postgresql_gets_bytes_as_hexadecimal_and_no_naive_time() -> None:
    told = Told()
    blob = Table("blob", MetaData(), Column("id", Integer), Column("data", LargeBinary), Column("at", UtcDateTime))
    bulk = Bulk(blob, ("id", "data", "at"))
    bulk.run(told, [{"id": 1, "data": b"\x00\xff", "at": SEEN}])  # type: ignore[arg-type]
    assert "decode(" in told.text and json.loads(told.given["rows"])[0]["data"] == "00ff"
    with pytest.raises(ValueError, match="without a zone"):
        bulk.run(told, [{"id": 1, "data": b"", "at": datetime(2026, 1, 2)}])  # type: ignore[arg-type]


def test_run__postgresql_stores_what_a_plain_insert_stores(postgres: Postgres) -> None:
    found = []
    for how in ("bulk", "plain"):
        engine = create_engine(postgres.create().replace("postgresql:", "postgresql+psycopg:"))
        THING.metadata.create_all(engine)
        with engine.begin() as connection:
            if how == "bulk":
                Bulk(THING, COLUMNS).run(connection, ROWS)
            else:
                connection.execute(insert(THING), ROWS)
            found.append(list(connection.execute(select(THING))))
        engine.dispose()
    assert found[0] == found[1]
