"""The server that tests are given is what they take it for."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.servers.postgres import MissingError, Postgres


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    try:
        server = Postgres.start()
    except MissingError as error:
        pytest.skip(str(error))
    yield server
    server.close()
    assert not server.folder.exists()


def test_create__copies_a_template(postgres: Postgres) -> None:
    first = postgres.create()
    postgres.run("CREATE TABLE t (n int); INSERT INTO t VALUES (1)", first)
    second = postgres.create(template=first)
    postgres.run("INSERT INTO t VALUES (2)", second)
    assert postgres.run("SELECT n FROM t", first) == [(1,)]
    assert postgres.run("SELECT n FROM t", second) == [(1,), (2,)]
    postgres.drop(first)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.run("SELECT 1", first)


def test_url__is_understood(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url(password="another"))


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_end__keeps_what_was_committed(own: Postgres, end: str) -> None:
    url, port = own.create(), own.port
    own.run("CREATE TABLE t (n int)", url)
    own.run("INSERT INTO t VALUES (1)", url)
    getattr(own, end)()
    assert not own.running
    with pytest.raises(psycopg.OperationalError):
        own.run("SELECT 1")
    own.restart()
    assert own.port == port
    assert own.run("SELECT n FROM t", url) == [(1,)]


def test_freeze__answers_nobody(own: Postgres) -> None:
    with psycopg.connect(own.url()) as connection:
        own.freeze()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(own.url(), connect_timeout=2)
        own.thaw()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_hang_up__ends_a_connection(own: Postgres) -> None:
    url = own.create()
    with psycopg.connect(url) as connection:
        own.hang_up(url)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
