"""Updates, killed before their system calls and cut off from power: P7, P9, P11 and P13.

A random part of the calls and states here; all of them: ``python -m tests.faults.every_update FOLDER``.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.programs import traced

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]


def run(folder: Path, what: str, every: int, bug: str = "") -> dict[str, Any]:
    first = random.randrange(every)
    print("first", first, "of", every)
    words = ["--what", what, "--every", every, "--first", first, *(["--bug", bug] if bug else [])]
    found: dict[str, Any] = traced("every_update", folder, *words)[what]
    return found


@pytest.mark.parametrize(("what", "every"), [("kill", 6), ("probe", 6), ("forever", 9), ("power", 40), ("floor", 4)])
def test_update__whatever_ends_it(tmp_path: Path, what: str, every: int) -> None:
    found = run(tmp_path, what, every)
    assert found["wrong"] == []
    if "calls" in found:
        assert found["calls"] > 20, "the calls of an update were not seen"


@pytest.mark.parametrize(
    ("what", "every", "bug", "said"),
    [
        ("kill", 8, "old-pack-first", "nothing whole"),
        ("probe", 5, "pointer-first", "false success"),
        ("forever", 12, "no-count", "not ended after 5 starts"),
        ("power", 40, "no-sync", "it does not go on to the new pack"),
        ("floor", 1, "loose-floor", "what is older is approved"),
    ],
)
def test_update__a_planted_bug_is_found(tmp_path: Path, what: str, every: int, bug: str, said: str) -> None:
    found = run(tmp_path, what, every, bug)
    assert any(said in line for line in found["wrong"]), found
