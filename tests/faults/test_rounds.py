"""A round that is killed goes on where it was, and ends as it would have; planted bugs in going on are seen."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.faults import programs

pytestmark = [pytest.mark.faults]
LONG = bool(os.environ.get("FAULTS_LONG"))
POINTS = (
    "plan,snapshot,lesson,training,checkpoint,export,proof,packed,evaluation,registering,registered,report"
    if LONG
    else "snapshot,training,registering"
)
BUGS = "optimizer,labels,steps" if LONG else "optimizer,labels"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program says, which runs all of it once."""
    return programs.answer("rounds", tmp_path_factory.mktemp("rounds") / "world", "--points", POINTS, "--bugs", BUGS)


def test_round__killed_in_each_stage_ends_with_the_same_weights(found: dict[str, Any]) -> None:
    assert found["wrong"] == []
    assert (found["wanted"]["packs"], found["wanted"]["snapshots"]) == (1, 1)


def test_round__planted_bugs_are_seen(found: dict[str, Any]) -> None:
    assert found["seen"] == BUGS.split(",")
