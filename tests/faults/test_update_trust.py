"""Spoiled metadata of releases: nothing is accepted, and the attack is named (P10).

A part of the bits and truncations here; 10,000 of them: ``python -m tests.faults.mutated_trust``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.system import rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def run(count: int, bug: str = "") -> dict[str, Any]:
    line = [sys.executable, "-m", "tests.faults.mutated_trust", "--count", str(count), "--json"]
    line += ["--bug", bug] if bug else []
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=rig.environment())
    print(done.stderr)
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


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
