"""Labelling, killed before its system calls that change a file: no acknowledged annotation is lost (P19).

A few of the calls here, others each time; all of them: ``python -m tests.faults.every_answer FOLDER``. An expired login
and a label that was removed meanwhile are in tests/central/api/test_queue_routes.py.
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
EVERY = 45
FORBIDDEN = 77


def run(folder: Path, *words: str) -> dict[str, Any]:
    if not tracer.supported:
        pytest.skip("tracing system calls is only known for Linux on x86-64 and 64-bit Arm")
    line = [sys.executable, "-m", "tests.faults.every_answer", str(folder), *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=rig.environment())
    if done.returncode == FORBIDDEN:
        pytest.skip(done.stderr.strip())
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_labelling__killed_at_its_calls_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    first = random.randrange(EVERY)
    print("first", first)
    found = run(tmp_path, "--every", str(EVERY), "--first", str(first))
    assert found["wrong"] == []
    assert found["calls"] > 50, "the calls of labelling were not seen"


def test_labelling__an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    found = run(tmp_path, "--every", "60", "--first", "40", "--bug", "early")
    assert any("lost" in line for line in found["wrong"]), found


def test_labelling__an_answer_over_one_that_was_not_seen_is_found(tmp_path: Path) -> None:
    found = run(tmp_path, "--every", "1000", "--first", "999", "--bug", "unseen")
    assert any("not seen" in line for line in found["wrong"]), found
