"""The soak, for seconds: a centre whose memory and files are flat, and one that it must find (P22).

The long one: ``python -m benchmarks.soak_link --minutes 30``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.soak_link import FILES
from tests.system import rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]
GROWTH = 0.3
"""A process that began seconds ago still grows; what leaks here would be half as much again."""


def soak(*words: str) -> dict[str, Any]:
    line = [sys.executable, "-m", "benchmarks.soak_link", "--minutes", "0.2", "--nodes", "20", "--rate", "6"]
    done = subprocess.run(
        [*line, "--growth", str(GROWTH), *words],
        capture_output=True, text=True, check=False, cwd=rig.ROOT, env=rig.environment(),
    )  # fmt: skip
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_soak__memory_and_files_are_flat_and_nothing_is_left_over() -> None:
    found = soak()
    assert found["ok"], found
    assert found["receipted"] > 200 and found["spool"] == 0


def test_soak__what_grows_is_found() -> None:
    found = soak("--bug", "both")
    before, after = found["centre_files"]
    assert found["spool"] == 0 and not found["ok"]
    assert found["centre_growth"] > GROWTH and after > before + FILES
