"""Labelling, killed before its system calls that change a file: no acknowledged annotation is lost (P19).

A few of the calls here, others each time; all of them: ``python -m tests.faults.every_answer FOLDER``. An expired login
and a label that was removed meanwhile are in tests/central/api/test_queue_routes.py.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.programs import traced

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
EVERY = 45


def run(folder: Path, *words: str) -> dict[str, Any]:
    return traced("every_answer", folder, *words)


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
