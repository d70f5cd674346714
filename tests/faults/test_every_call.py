"""Ingest, killed before its system calls that change a file: a receipt means durable (P3).

A random fifth of the calls here; all of them: ``python -m tests.faults.every_call FOLDER``.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.programs import traced

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
EVERY = 5


def run(folder: Path, *words: str) -> dict[str, Any]:
    return traced("every_call", folder, *words)


def test_ingest__killed_at_its_calls_never_gave_a_receipt_for_what_is_not_stored(tmp_path: Path) -> None:
    first = random.randrange(EVERY)
    print("first", first)
    found = run(tmp_path, "--every", str(EVERY), "--first", str(first))
    assert found["wrong"] == []
    assert found["calls"] > 20, "the calls of ingest were not seen"


def test_ingest__a_receipt_before_the_commit_is_found(tmp_path: Path) -> None:
    found = run(tmp_path, "--every", "10", "--first", "5", "--bug", "receipt-first")
    assert any("receipted and not stored" in line for line in found["wrong"])


def test_sweep__killed_at_each_of_its_calls_takes_nothing_that_a_row_refers_to(tmp_path: Path) -> None:
    found = run(tmp_path, "--sweep")
    assert found["wrong"] == []
    assert found["calls"] >= 3, "the calls of the sweep were not seen"


def test_sweep__one_that_takes_too_much_is_found(tmp_path: Path) -> None:
    assert run(tmp_path, "--sweep", "--bug", "greedy")["wrong"]
