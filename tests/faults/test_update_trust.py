"""Spoiled metadata of releases: nothing is accepted, and the attack is named (P10).

A part of the bits and truncations here; 10,000 of them: ``python -m tests.faults.mutated_trust``.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.programs import answer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def run(count: int, bug: str = "") -> dict[str, Any]:
    return answer("mutated_trust", "--count", count, "--json", *(["--bug", bug] if bug else []))


def test_trust__nothing_spoiled_is_accepted_and_all_of_it_named() -> None:
    found = run(800)
    assert found["accepted"] == 0, found["which"]
    assert found["unnamed"] == []
    assert found["attacks"] > 800
    assert found["said_the_same"] < 0.1 * found["attacks"], "too much was no attack at all"


@pytest.mark.parametrize(("bug", "what"), [("unsigned", "theirs"), ("unending", "frozen")])
def test_trust__a_planted_bug_is_found(bug: str, what: str) -> None:
    found = run(60, bug)
    assert any(line.startswith(what) for line in found["which"]), found
