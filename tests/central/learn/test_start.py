"""Where training starts from: a run folder, a file of weights, or a pack."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from central.learn.models import ModelConfig, build
from central.learn.start import LAST, StartError, weights_from
from export import checkpoint

LABELS = ("disc", "square")


def test_weights_from__a_run_folder_gives_its_averaged_weights(tmp_path: Path) -> None:
    one = torch.ones(2)
    checkpoint.write(tmp_path / LAST, {"network.a": 0 * one, "average.a": one, "optimizer.0.exp_avg": one}, {})
    assert list(weights_from(str(tmp_path), LABELS)) == ["a"]
    assert torch.equal(weights_from(str(tmp_path), LABELS)["a"], one)


def test_weights_from__plain_weights(tmp_path: Path) -> None:
    network = build(ModelConfig(size="tiny", labels=LABELS, height=64, width=64))
    checkpoint.write(tmp_path / "w.safetensors", network.state_dict(), {})
    assert weights_from(str(tmp_path / "w.safetensors"), LABELS).keys() == network.state_dict().keys()


def test_weights_from__the_base_pack_keeps_classes_under_their_names() -> None:
    cars = weights_from("base", ("car", "bus"))["detect.classes.0.bias"]
    turned = weights_from("base", ("bus", "car"))["detect.classes.0.bias"]
    assert torch.equal(cars, turned.flip(0))


def test_weights_from__neither(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="neither a run folder, safetensors nor a pack"):
        weights_from(str(tmp_path / "nothing"), LABELS)
