"""Training: learns, resumes to the same weights, stops with a reason, goes on past damaged images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from central.learn import families
from central.learn.data import Example
from central.learn.data.coco import load
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import LAST, Result, Run, TrainingError, rate_at
from central.learn.models import ModelConfig
from edge.street.camera import Street
from edge.street.coco import write_coco
from export import checkpoint
from export.run import load_run

Shapes = Callable[[int], list[Example]]
Settings = Callable[..., TrainConfig]


def weights(result: Result) -> dict[str, torch.Tensor]:
    """Return the averaged weights of a finished run."""
    found: dict[str, torch.Tensor] = result.network.state_dict()
    return found


VEHICLES = ("car", "bus", "truck")


def large(example: Example) -> Example:
    """Return `example` with its boxes of at least ten pixels: what a network of this size can see."""
    keep = (example.boxes[:, 2:] - example.boxes[:, :2]).min(axis=1, initial=np.inf) >= 10
    boxes, classes, weights = example.boxes[keep], example.classes[keep], example.weights[keep]
    return dataclasses.replace(example, boxes=boxes, classes=classes, weights=weights)


@pytest.mark.slow
def test_run__overfits_a_handful_of_street_frames(tmp_path: Path) -> None:
    truth = write_coco(tmp_path, 6, Street(seed=3, width=224, height=128), fps=0.25)
    examples = [large(e) for e in load(truth, tmp_path / "images", VEHICLES)]
    config = TrainConfig(
        model=ModelConfig(size="tiny", labels=VEHICLES, tags=VEHICLES, height=128, width=224),
        steps=240, batch=6, warmup=20, augment="none", average=0.9, rate=6e-3, workers=0, evaluate_every=0,
        save_every=1000,
    )  # fmt: skip
    result = Run(config, examples, examples, tmp_path / "run").run()
    assert result.quick is not None
    assert result.quick.ap50 >= 0.9
    assert result.history[-1]["loss"] < 0.5 * result.history[0]["loss"]


def test_run__leaves_its_folder_whole(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    rows: list[dict[str, Any]] = []
    result = Run(settings(steps=20), shapes(4), shapes(2), tmp_path / "run").run(rows.append)
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {
        "config.json", "metrics.jsonl", LAST, "curves.png", "confusion.png", "result.json",
    }  # fmt: skip
    assert [r["step"] for r in rows] == [20]
    assert {"loss", "classes", "boxes", "sides", "eta_s"} <= set(rows[0])
    assert result.skipped == []


@pytest.mark.parametrize("augment", ["light", "full"])
def test_run__resumed_is_the_undisturbed_one(
    tmp_path: Path, shapes: Shapes, settings: Settings, monkeypatch: pytest.MonkeyPatch, augment: str
) -> None:
    config, examples = settings(steps=8, save_every=3, augment=augment), shapes(5)
    whole = weights(Run(config, examples, [], tmp_path / "whole").run())
    real = Run._step

    def power_cut(run: Run, batch: Any) -> Any:
        if run.step == 5:
            raise KeyboardInterrupt
        return real(run, batch)

    monkeypatch.setattr(Run, "_step", power_cut)
    with pytest.raises(KeyboardInterrupt):
        Run(config, examples, [], tmp_path / "cut").run()
    monkeypatch.undo()
    run = Run(config, examples, [], tmp_path / "cut")
    assert run.step == 3
    resumed = weights(run.run())
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_run__other_settings_in_the_folder(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    Run(settings(), shapes(2), [], tmp_path / "run").run()
    with pytest.raises(TrainingError, match="other settings"):
        Run(settings(rate=0.5), shapes(2), [], tmp_path / "run")


def test_run__resumes_what_an_older_version_began(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    Run(settings(), shapes(2), [], tmp_path / "run").run()
    tensors, about = checkpoint.read(tmp_path / "run" / LAST)
    stored: Any = about["config"]
    del stored["guess"], stored["model"]["family"]
    checkpoint.write(tmp_path / "run" / LAST, tensors, about)
    assert Run(settings(), shapes(2), [], tmp_path / "run").step == 6


def test_run__not_a_number_stops_and_keeps_the_checkpoint(
    tmp_path: Path, shapes: Shapes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(settings(), shapes(4), [], tmp_path / "run")
    real: Any = run.family.losses

    def poisoned(network: Any, *rest: Any) -> Any:
        losses = real(network, *rest)
        return losses._replace(boxes=losses.boxes * float("nan")) if run.step == 4 else losses

    monkeypatch.setattr(type(run.family), "losses", lambda _, *rest: poisoned(*rest))
    with pytest.raises(TrainingError, match=r"step 4: .* 8 to 9, made of .*/shapes/\d\.png.*is good.*lower rate"):
        run.run()
    tensors, about = checkpoint.read(tmp_path / "run" / LAST)
    assert about["step"] == 3
    assert all(bool(torch.isfinite(t).all()) for t in tensors.values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: [], "no labelled image"),
        (lambda found: [blank(e) for e in found], "none of the 3 images has a box"),
        (lambda found: [dataclasses.replace(e, path=Path("nix")) for e in found], "none of the 3 images can be read"),
    ],
    ids=["empty", "unlabelled", "unreadable"],
)
def test_run__nothing_to_learn_from(
    tmp_path: Path, shapes: Shapes, settings: Settings, change: Callable[[list[Example]], list[Example]], says: str
) -> None:
    with pytest.raises(TrainingError, match=says):
        Run(settings(), change(shapes(3)), [], tmp_path / "run")


def blank(example: Example) -> Example:
    """Return `example` as nobody has looked at it."""
    return dataclasses.replace(
        example, boxes=example.boxes[:0], classes=example.classes[:0], weights=example.weights[:0],
        complete=np.zeros_like(example.complete),
    )  # fmt: skip


def test_run__one_class_only(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    found = [dataclasses.replace(e, classes=e.classes * 0, complete=np.ones(1, bool)) for e in shapes(4)]
    result = Run(settings(labels=("thing",)), found, found, tmp_path / "run").run()
    assert result.quick is not None
    assert list(result.quick.per_class) == ["thing"]


@pytest.mark.parametrize(("workers", "augment"), [(0, "full"), (1, "light")])
def test_run__skips_counts_and_names_damaged_images(
    tmp_path: Path, shapes: Shapes, settings: Settings, workers: int, augment: str
) -> None:
    found = shapes(4)
    found[1].path.write_bytes(found[1].path.read_bytes()[:60])
    found[2].path.unlink()
    result = Run(settings(steps=20, workers=workers, augment=augment), found, [], tmp_path / "run").run()
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result.skipped == [str(found[1].path), str(found[2].path)]
    assert (told["skipped"], told["skipped_images"]) == (2, result.skipped)
    assert result.history[-1]["skipped"] == 2


def test_run__heads_alone_leave_the_trunk(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    run = Run(settings(train="heads", freeze_norms=True), shapes(2), [], tmp_path / "run")
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    run.run()
    moved = {k for k, v in run.network.state_dict().items() if not torch.equal(v.cpu(), before[k])}
    assert moved
    assert not [name for name in moved if name.startswith(run.network.trunk)]


def test_run__its_folder_builds_the_network_again(tmp_path: Path, shapes: Shapes, settings: Settings) -> None:
    result = Run(settings(), shapes(2), [], tmp_path / "run").run()
    network, config, _ = load_run(tmp_path / "run")
    assert config["family"] == "wayside"
    assert all(torch.equal(v, weights(result)[k]) for k, v in network.state_dict().items())


def test_families__a_configuration_without_one_is_ours() -> None:
    parsed = families.parse({"labels": ["car"]})
    assert parsed == ModelConfig(labels=("car",))
    assert families.of(parsed).name == "wayside"


def test_rate_at__warms_up_then_falls(settings: Settings) -> None:
    config = settings(steps=100, warmup=10)
    rates = [rate_at(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize(
    "content",
    [b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", b"PK\x03\x04rest of a torch file", b"", b"\xff" * 200],
    ids=["pickle", "zip", "empty", "huge header"],
)
def test_checkpoint__refuses_all_but_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match=r"weights\.safetensors: not a readable checkpoint"):
        checkpoint.read(path)
