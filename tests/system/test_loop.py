"""The whole loop from one command, on the synthetic street: broker, centre, two nodes, a round, a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from central.annotate.datasets import BLOCK, held_back
from edge.street.camera import Street
from edge.street.coco import write_coco
from protocols.pack import open_folder
from tests.system import rig

pytestmark = pytest.mark.system
FRAMES = 2 * BLOCK
WANTED = 24
LONGEST_S = 240.0
NODES = {"north", "south"}


def loop(tmp_path: Path, pack: Path, *words: str | Path, **env: str) -> dict[str, Any]:
    """Run the loop once and return its figures, checked as far as they hold for every loop."""
    data = tmp_path / "data"
    ports = ["--port", str(rig.free_port()), "--broker-port", str(rig.free_port())]
    given = ["--pack", pack, "--frames", str(WANTED), "--data", data, *ports, "--json"]
    done = rig.call("central", "demo", "--once", *words, *given, seconds=LONGEST_S, **env)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1
    answer: dict[str, Any] = json.loads(lines[0])
    assert answer["ok"]
    assert answer["frames_seen"] > answer["frames_sent"] >= answer["labelled_frames"] >= WANTED
    assert answer["bytes"] > answer["frames_sent"] * 1000
    assert answer["labels"] > 0
    assert answer["seconds_label_to_running"] > 0
    assert set(answer["nodes"]) == NODES
    for name, node in answer["nodes"].items():
        assert node == {"pack": answer["pack"], "release": 1, "state": "online"}
        folder = data / "nodes" / name
        assert (folder / "current").read_text().strip() == answer["pack"]
        assert open_folder(folder / "packs" / answer["pack"]).address == answer["pack"]
    assert answer["timeline"][-1]["event"] == "every node goes on watching with it"
    return answer


def held_back_name() -> str:
    """Return a camera's name of whose first two blocks of frames exactly the second is never trained on."""
    names = (f"gate{number}" for number in range(1000))
    return next(n for n in names if held_back(n, BLOCK))


@pytest.mark.timeout(300)
def test_loop__without_a_truth_confident_proposals_count(tmp_path: Path, pack: Path) -> None:
    answer = loop(tmp_path, pack, "--video", f"{rig.STREET},hour=15", WAYSIDE_AUTO_CONFIDENCE="0.001")
    assert "truth" not in answer
    assert answer["ap_after"] is None, "no person answered, so there is nothing to be judged by"


@pytest.mark.timeout(300)
def test_loop__with_a_truth_the_oracle_answers_and_the_packs_are_judged(tmp_path: Path, pack: Path) -> None:
    folder = tmp_path / held_back_name()
    truth = write_coco(folder, FRAMES, Street(seed=3, width=320, height=192))
    answer = loop(tmp_path, pack, "--video", folder, "--truth", truth)
    for figure in ("ap_before", "ap_after", "ap50_before", "ap50_after"):
        assert 0.0 <= answer[figure] <= 1.0
    judged = answer["truth"]
    assert judged["images"] >= 0
    if judged["images"]:
        assert 0.0 <= judged["ap50_before"] <= 1.0
        assert 0.0 <= judged["ap50_after"] <= 1.0
