"""The curve of AP50 against latency: sizes, rows, picture, wrong use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch

from benchmarks import detectors
from benchmarks.common import main
from central.learn.detect.plots import tradeoff
from central.learn.models import ModelConfig, build
from central.learn.start import StartError, read_pack
from export.build import Ingredients, noise_frames
from export.build import build as build_pack
from protocols.pack import Pack

LABELS = ("car", "bus")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """An untrained pack of ours."""
    torch.manual_seed(0)
    config = ModelConfig(size="tiny", labels=LABELS, height=64, width=96, top_k=20)
    about = Ingredients(
        name="small", size="tiny", labels=LABELS, config=msgspec.to_builtins(config), height=64, width=96,
        score_threshold=0.2,
    )  # fmt: skip
    return build_pack(build(config), about, tmp_path_factory.mktemp("small"), noise_frames(1, 64, 96))


@pytest.fixture
def truth(tmp_path: Path) -> list[str]:
    """Arguments that name two grey images with a car each."""
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((50, 70, 3), 90, np.uint8))
    images = [{"id": i, "file_name": f"{n}.png", "width": 70, "height": 50} for i, n in enumerate("ab", 1)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400} for i in (1, 2)]
    file = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "truth.json").write_text(json.dumps(file))
    return ["--images", str(tmp_path), "--coco", str(tmp_path / "truth.json"), "--runs", "2", "--json"]


def measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """Run the benchmark and return what it says."""
    monkeypatch.setattr("sys.argv", ["detectors", *words])
    main(detectors.start, detectors.arguments_parser())
    answer: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return answer


def test_resized__same_weights_another_input(small: Pack, tmp_path: Path) -> None:
    larger = detectors.resized(small, 96, 128, tmp_path)
    before, after = read_pack(small)[1], read_pack(larger)[1]
    assert (larger.manifest.input.height, larger.manifest.input.width) == (96, 128)
    assert (larger.manifest.parent, larger.manifest.score_threshold) == (small.address, 0.2)
    assert all(torch.equal(value, after[name]) for name, value in before.items() if name in small_names(before))


def small_names(weights: dict[str, torch.Tensor]) -> list[str]:
    """Return the names of what is learned: the rest of a graph are constants of its size."""
    return [name for name in weights if name.endswith((".weight", ".bias", ".running_mean", ".running_var"))]


def test_resized__a_size_that_does_not_fit(small: Pack, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="multiples of 32"):
        detectors.resized(small, 65, 128, tmp_path)


def test_detectors__a_row_and_a_point_for_every_size(
    small: Pack, truth: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--pack", str(small.folder), "--input", "96x128", "--input", "64x96", "--foreign", "none.onnx"]
    answer = measured(capsys, monkeypatch, *truth, *words, "--plot", str(tmp_path / "curve.svg"))
    assert [row["input"] for row in answer["rows"]] == ["64x96", "96x128"]
    assert all(row["latency_ms"] > 0 and 0 <= row["ap50"] <= 1 for row in answer["rows"])
    assert "</svg>" in (tmp_path / "curve.svg").read_text()


def test_tradeoff__png(tmp_path: Path) -> None:
    rows = [{"name": n, "input": "64x96", "latency_ms": t, "ap50": 0.1 * t} for n, t in (("a", 1.0), ("a", 2.0))]
    tradeoff(rows, tmp_path / "curve.png")
    assert cv2.imread(str(tmp_path / "curve.png")) is not None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--input", "big"], "give HEIGHTxWIDTH"),
        (["--input", "65x96"], "multiples of 32"),
        (["--plot", "curve.gif"], ".png or .svg"),
        (["--pack", "nix"], "no such pack"),
    ],
)
def test_detectors__wrong_use(
    words: list[str], says: str, small: Pack, truth: list[str],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = words if "--pack" in words else [*words, "--pack", str(small.folder)]
    with pytest.raises(SystemExit) as ended:
        measured(capsys, monkeypatch, *truth, *given)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
