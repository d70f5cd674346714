"""Training as a job: the command's own words, what is watched of it, and what is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from central.jobs import training
from central.jobs.training import TrainingJobError, newest, option, run, watched


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("magic", [], "is no training"),
        ("detect", ["--steps", "3"], "--out"),
        ("detect", ["--out", "x", "--no-such-option"], "status 2"),
    ],
)
def test_run__refuses(name: str, words: list[str], said: str) -> None:
    with pytest.raises(TrainingJobError, match=said):
        run(name, words, lambda _step: None)


def test_run__tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def command(name: str, words: list[str]) -> None:
        (tmp_path / training.METRICS).write_text(json.dumps({"step": 5, "loss": 2.0}) + "\n")
        time.sleep(0.3)
        (tmp_path / "result.json").write_text('{"steps": 10, "name": "x"}')

    monkeypatch.setattr(training, "LOOK_S", 0.05)
    monkeypatch.setattr(training, "command", command)
    steps: list[Any] = []
    found = run("detect", ["--out", str(tmp_path), "--steps", "10"], steps.append)
    assert found == {"out": str(tmp_path), "workers": 1, "steps": 10}
    assert steps == [{"progress": 0.5, "detail": "step 5 of 10, loss 2.000"}]


@pytest.mark.parametrize(("text", "step"), [("", None), ('{"step": 1}\n{"step": 2}\n{"st', 2), ("no\n", None)])
def test_newest__is_the_last_whole_row(tmp_path: Path, text: str, step: int | None) -> None:
    (tmp_path / "m").write_text(text)
    row = newest(tmp_path / "m")
    assert (row and row["step"]) == step


def test_watched__no_file_is_no_matter(tmp_path: Path) -> None:
    with watched(tmp_path, 3, lambda _row: None):
        pass


@pytest.mark.parametrize(("words", "value"), [(["--out", "x"], "x"), (["--out"], None), ([], None)])
def test_option__is_the_word_after_its_name(words: list[str], value: str | None) -> None:
    assert option(words, "--out") == value
