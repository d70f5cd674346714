"""The API while the database does not answer, 503 that says so, and where it cannot hold what was sent, 422."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests.central.api.conftest import World


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT secret", {}, Exception("server closed the connection")),
        InterfaceError("SELECT secret", {}, Exception("the connection is closed")),
        PoolTimeoutError("QueuePool limit"),
    ],
)
async def test_away__answers_503_with_a_code(
    world: World, monkeypatch: pytest.MonkeyPatch, error: SQLAlchemyError
) -> None:
    @asynccontextmanager
    async def away(**_: Any) -> Any:
        raise error
        yield

    async with world.client("viewer") as client:
        monkeypatch.setattr(world.centre.database, "read", away)
        monkeypatch.setattr(world.centre.database, "write", away)
        answer, ready = await client.get("/frames"), await client.get("/ready")
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], answer.headers["retry-after"]) == (503, "database_away", "5")
    assert "secret" not in answer.text
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, f"{type(error).__name__}; see the log")


async def test_data__that_the_database_cannot_hold_is_wrong_input(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def refuses(**_: Any) -> Any:
        raise DataError("INSERT secret", {}, Exception("text fields cannot contain NUL (0x00) bytes"))
        yield

    async with world.client("viewer") as client:
        monkeypatch.setattr(world.centre.database, "read", refuses)
        answer = await client.get("/frames")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert "secret" not in answer.text
