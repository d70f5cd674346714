"""No code runs from a pack, and nothing outside of it is read (P21)."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from protocols.pack import MAX_PACK
from tests.faults.programs import answer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.skipif(
    sys.platform != "linux", reason="who reads what is only asked of Linux"
)]  # fmt: skip


def run(bug: str = "") -> dict[str, Any]:
    return answer("hostile_packs", *(["--bug", bug] if bug else []))


def test_packs__hostile_ones_are_refused_and_do_nothing() -> None:
    found = run()
    assert found["wrong"] == []
    assert found["packs"] == found["refused"] >= 20
    assert found["slowest_s"] < 10
    assert found["memory_mb"] < 2 * MAX_PACK / 2**20, "more than the largest pack, read and unpacked"


@pytest.mark.parametrize(("bug", "said"), [("pickle", "code ran"), ("links", "what is outside was read")])
def test_packs__a_planted_bug_is_found(bug: str, said: str) -> None:
    assert any(said in line for line in run(bug)["wrong"])
