"""Fixtures that every room shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.servers.postgres import MissingError, Postgres
from tests.servers.s3 import S3

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of the centre run on either database."""
    parser.addoption(
        "--database", choices=("sqlite", "postgresql"), default="sqlite", help="what the tests' centres store rows in"
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; without it the test skips."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not there ({folder})")
    return folder


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Undo what a command under test set up: its stream is closed when its test ends."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, shared by all tests of a process; who stops or kills one starts another of its own. Each
    test makes its own databases by `create`. Without PostgreSQL the test skips."""
    try:
        server = Postgres.start()
    except MissingError as error:
        pytest.skip(str(error))
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server, shared by all tests of a process; who stops or kills one starts another of its own. Each test makes
    its own bucket by `create`. Without OpenStack Swift, or extended attributes on the disk, the test skips."""
    try:
        server = S3.start()
    except MissingError as error:
        pytest.skip(str(error))
    yield server
    server.close()
