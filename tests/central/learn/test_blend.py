"""Between the start of a run and its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from central.learn.detect.blend import blend, blend_run
from central.learn.start import LAST, StartError
from export import checkpoint

ABOUT: dict[str, object] = {"config": {"model": {"labels": ["car"]}}}


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.25, 1.5), (1.0, 3.0)])
def test_blend__lies_on_the_line(share: float, value: float) -> None:
    made = blend({"a": torch.ones(2)}, {"a": torch.full((2,), 3.0)}, share)
    assert torch.equal(made["a"], torch.full((2,), value))


def test_blend__what_only_the_run_has_stays() -> None:
    made = blend(
        {"a": torch.ones(2), "b": torch.ones(3), "n": torch.tensor(1)},
        {"a": torch.zeros(2), "b": torch.zeros(2), "c": torch.zeros(1), "n": torch.tensor(7)},
        0.5,
    )
    assert {k: v.flatten()[0].item() for k, v in made.items()} == {"a": 0.5, "b": 0.0, "c": 0.0, "n": 7}


def test_blend__nothing_in_common() -> None:
    with pytest.raises(StartError, match="no weight in common"):
        blend({"a": torch.ones(1)}, {"b": torch.ones(1)}, 0.5)


def test_blend_run__once(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / LAST, {"network.a": torch.ones(1), "average.a": torch.zeros(1)}, ABOUT)
    checkpoint.write(tmp_path / "start.safetensors", {"a": torch.ones(1)}, {})
    blend_run(tmp_path, str(tmp_path / "start.safetensors"), 0.75)
    tensors, about = checkpoint.read(tmp_path / LAST)
    assert tensors["average.a"].item() == 0.25 and tensors["network.a"].item() == 1.0
    assert about["blended"] == {"with": str(tmp_path / "start.safetensors"), "share": 0.75}
    with pytest.raises(StartError, match="blended already"):
        blend_run(tmp_path, str(tmp_path / "start.safetensors"), 0.75)
