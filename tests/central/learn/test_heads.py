"""Heads, one by one: trained alone, and left out of a pack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import typer.testing

from central.learn import families
from central.learn.data import Example
from central.learn.detect.command import learning
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run, TrainingError
from central.learn.models.detr import configure
from central.learn.start import network_from
from edge.runtime.model import Model
from export.cli import app
from protocols.pack import open_folder
from tests.central.learn.conftest import LABELS, SIDE
from tests.central.learn.tiny import detr

Shapes = Callable[[int], list[Example]]
Settings = Callable[..., TrainConfig]


@pytest.mark.parametrize(
    ("words", "moves"),
    [("tags", {"tags"}), ("detect", {"detect"}), ("detect,tags", {"detect", "tags"}), ("heads", {"detect", "tags"})],
)
def test_only__everything_else_stays_to_the_bit(
    tmp_path: Path, shapes: Shapes, settings: Settings, words: str, moves: set[str]
) -> None:
    run = Run(settings(**learning(words)), shapes(2), [], tmp_path / "run")
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    averaged = run.run().network.state_dict()
    for state in (run.network.state_dict(), averaged):
        assert {k.split(".")[0] for k, v in state.items() if not torch.equal(v.cpu(), before[k])} == moves


def test_only__all_moves_the_trunk(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    run = Run(settings(**learning("all")), shapes(2), [], tmp_path / "run")
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    run.run()
    assert any(not torch.equal(v, before[k]) for k, v in run.network.state_dict().items() if k.startswith("backbone."))


def test_only__tags_of_a_transformers_detector(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    detr("d_fine", LABELS, tmp_path / "weights")
    config = configure(str(tmp_path / "weights"), LABELS, LABELS, SIDE, SIDE)
    plan = msgspec.structs.replace(settings(steps=2, only=("tags",)), model=config)
    run = Run(plan, shapes(2), [], tmp_path / "run")
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    run.run()
    assert {k.split(".")[0] for k, v in run.network.state_dict().items() if not torch.equal(v, before[k])} == {"tags"}


@pytest.mark.parametrize("head", ["tags", "ears"])
def test_only__a_head_that_the_network_lacks(tmp_path: Path, shapes: Shapes, settings: Settings, head: str) -> None:
    plan = settings(only=(head,))
    plan = msgspec.structs.replace(plan, model=msgspec.structs.replace(plan.model, tags=()))
    with pytest.raises(TrainingError, match=f"no head '{head}' learns from these labels; this network has detect"):
        Run(plan, shapes(2), [], tmp_path / "run")


def test_only__blur_names_its_own_command() -> None:
    with pytest.raises(ValueError, match="train blur RUN"):
        learning("tags,blur")


def test_start__weights_of_another_family(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    with pytest.raises(TrainingError, match="none of the weights to start from fits"):
        Run(settings(), shapes(2), [], tmp_path / "run", start={"detector.bias": torch.ones(3)})


def build(*words: str) -> typer.testing.Result:
    """Run ``wayside-export build``."""
    return typer.testing.CliRunner().invoke(app, ["build", *words])


@pytest.fixture
def trained(tmp_path: Path, shapes: Shapes, settings: Settings) -> Path:
    """The folder of a short run."""
    Run(settings(steps=1), shapes(2), [], tmp_path / "run").run()
    return tmp_path / "run"


def test_build__without_heads(trained: Path, tmp_path: Path) -> None:
    result = build(str(trained), "--out", str(tmp_path / "p"), "--without", "blur, embedding,tags", "--json")
    assert result.exit_code == 0, result.stderr
    pack = open_folder(tmp_path / "p")
    assert json.loads(result.stdout.splitlines()[-1])["pack"] == pack.address
    assert pack.manifest.tags == []
    with Model(pack, "cpu") as model:
        seen = model.infer(np.zeros((40, 60, 3), np.uint8))
    assert (seen.blur_map, seen.embedding, seen.tags) == (None, None, None)
    again: Any = network_from(pack, LABELS)
    assert set(again(torch.zeros((1, 3, SIDE, SIDE), dtype=torch.uint8))) == {"boxes", "scores", "spread"}


def test_build__a_head_that_cannot_be_left_out(trained: Path, tmp_path: Path) -> None:
    result = build(str(trained), "--out", str(tmp_path / "p"), "--without", "detect")
    assert result.exit_code == 2
    assert "head 'detect' cannot be left out; those that can: blur, embedding, tags" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without__of_each_family() -> None:
    with pytest.raises(ValueError, match="those that can: embedding, tags"):
        families.parse(
            {"family": "detr", "architecture": {"model_type": "d_fine"}, "labels": ["car"], "without": ["blur"]}
        )
