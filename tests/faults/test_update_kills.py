"""Updates, killed before their system calls and cut off from power: P7, P9, P11 and P13.

A random part of the calls and states here; all of them: ``python -m tests.faults.every_update FOLDER``.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults import tracer
from tests.system import rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
FORBIDDEN = 77


def run(folder: Path, what: str, every: int, bug: str = "") -> dict[str, Any]:
    if not tracer.supported:
        pytest.skip("tracing system calls is only known for Linux on x86-64 and 64-bit Arm")
    first = random.randrange(every)
    print("first", first, "of", every)
    line = [sys.executable, "-m", "tests.faults.every_update", str(folder), "--what", what]
    line += ["--every", str(every), "--first", str(first), *(["--bug", bug] if bug else [])]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=rig.environment())
    if done.returncode == FORBIDDEN:
        pytest.skip(done.stderr.strip())
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])[what]
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
        ("floor", 4, "loose-floor", "what is older is approved"),
    ],
)
def test_update__a_planted_bug_is_found(tmp_path: Path, what: str, every: int, bug: str, said: str) -> None:
    found = run(tmp_path, what, every, bug)
    assert any(said in line for line in found["wrong"]), found
