"""The programs of this folder, run by tests: ``python -m tests.faults.NAME``, whose last line is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.faults import tracer
from tests.system import rig

FORBIDDEN: Final = 77
"""Exit status where processes may not be traced."""


def answer(name: str, *words: object) -> dict[str, Any]:
    """Run the program `name` and return its last line; what it says on standard error is printed."""
    line = [sys.executable, "-m", f"tests.faults.{name}", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=rig.environment())
    if done.returncode == FORBIDDEN:
        pytest.skip(done.stderr.strip())
    print(done.stderr)
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def traced(name: str, *words: object) -> dict[str, Any]:
    """Do the same with a program that kills at system calls; skips where these cannot be traced."""
    if not tracer.supported:
        pytest.skip("tracing system calls is only known for Linux on x86-64 and 64-bit Arm")
    return answer(name, *words)
