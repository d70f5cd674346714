"""Wrong passwords count at every server."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from central.api.access import GATE_S, MAX_FAILURES, MAX_FAILURES_ADDRESS
from central.api.ledger import Ledger
from central.store.database import Database
from central.store.models import LoginFailure


@pytest.fixture
def doors(shared: Database) -> list[Ledger]:
    """Two servers."""
    return [Ledger(shared), Ledger(shared)]


async def test_attempt__who_is_locked_out_at_one_is_at_the_other(doors: list[Ledger]) -> None:
    for turn in range(MAX_FAILURES):
        assert await doors[turn % 2].attempt("ann", "10.0.0.1") == 0
    for door in doors:
        assert GATE_S - 60 < await door.attempt("ann", "10.0.0.1") <= GATE_S
        assert await door.attempt("bob", "10.0.0.1") == 0
        assert await door.attempt("ann", "10.0.0.2") == 0


async def test_attempt__an_address_with_any_names(doors: list[Ledger]) -> None:
    for turn in range(MAX_FAILURES_ADDRESS):
        assert await doors[turn % 2].attempt(f"user{turn}", "10.0.0.1") == 0
    assert await doors[0].attempt("another", "10.0.0.1") > 0


async def test_passed__forgets_the_name_and_no_other(doors: list[Ledger]) -> None:
    for _ in range(MAX_FAILURES - 1):
        await doors[0].attempt("ann", "10.0.0.1")
    await doors[0].attempt("bob", "10.0.0.1")
    await doors[1].passed("ann", "10.0.0.1")
    assert await doors[0].attempt("ann", "10.0.0.1") == 0


@pytest.mark.parametrize("shift", [-GATE_S - 1, 3600.0])
async def test_attempt__old_ones_and_those_of_a_clock_that_was_set_back_do_not_count(
    doors: list[Ledger], shared: Database, shift: float
) -> None:
    for _ in range(MAX_FAILURES):
        await doors[0].attempt("ann", "10.0.0.1")
    async with shared.write() as session:
        await session.execute(update(LoginFailure).values(at=LoginFailure.at + shift))
    assert await doors[0].attempt("ann", "10.0.0.1") == 0
    async with shared.read() as session:
        assert await session.scalar(select(func.count()).select_from(LoginFailure)) == 1, "they are cleared away"
