"""The dense head learns from the tile model: what each term of its loss asks for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from central.learn.blur import fit
from central.learn.models import ModelConfig, build


def test_level__only_the_masked_cells_count() -> None:
    scores = torch.zeros(2, 4, 4)
    scores[:, 0, 0] = 3.0
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    mask[0, 0, :3] = True
    assert fit.level(scores, mask).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("levels", "blur", "expected"),
    [
        ([0.0, 0.1], [0.0, 0.2], 0.0),
        ([0.0, 0.05], [0.0, 0.2], 0.05),
        ([0.1, 0.0], [0.0, 0.2], 0.2),
        ([0.0, 0.1], [0.0, 0.9], 0.0),
        ([0.9, 0.0], [0.0, 0.04], 0.0),
    ],
)
def test_ranking_loss__case(levels: list[float], blur: list[float], expected: float) -> None:
    """Half of the teacher's difference is asked for, up to a margin; what it hardly tells apart does not count."""
    assert float(fit.ranking_loss(torch.tensor(levels), torch.tensor(blur))) == pytest.approx(expected, abs=1e-6)


def test_cell_loss__every_textured_cell_of_a_blurrier_version_is_blurrier() -> None:
    blur, mask = torch.tensor([[0.0, 0.4]]), torch.tensor([[[True, False]]])
    right, wrong = torch.tensor([[[[0.0, 0.5]], [[0.2, 0.0]]]]), torch.tensor([[[[0.0, 0.0]], [[0.0, 0.9]]]])
    assert float(fit.cell_loss(right, blur, mask)) == pytest.approx(0.0)
    assert float(fit.cell_loss(wrong, blur, mask)) == pytest.approx(0.2)


def test_versions__fall_in_detail() -> None:
    random = np.random.default_rng(0)
    image = np.asarray(cv2.resize(random.integers(0, 256, (60, 80, 3)).astype(np.uint8), (320, 240)), np.uint8)
    detail = np.array([
        [float(cv2.Laplacian(cv2.GaussianBlur(v, (0, 0), 1.5), cv2.CV_32F).std()) for v in fit.versions(image, random)]
        for _ in range(6)
    ])  # fmt: skip
    assert (detail[:, 0] > detail[:, -1]).all()


@pytest.mark.parametrize(("shape", "rows"), [((96, 128), 12), ((48, 128), 6)])
def test_draw__padding_is_outside(shape: tuple[int, int], rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    monkeypatch.setattr(fit, "read_image", lambda path: image)
    network = build(ModelConfig(size="tiny", labels=("car",), tags=(), height=96, width=128)).eval()
    bank = fit.draw(network, [Path("x")], lambda picture: 0.5, 1, np.random.default_rng(0))
    assert bank.features.shape[:3] == (1, fit.GROUP, fit.VERSIONS + 1) and bank.blur.shape == (1, 8, fit.VERSIONS)
    assert bank.inside[0, 0].sum() == rows * 16 and not (bank.textured & ~bank.inside).any()


def test_draw__nothing_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "read_image", lambda path: None)
    network = build(ModelConfig(size="tiny", labels=("car",), tags=(), height=96, width=128)).eval()
    with pytest.raises(ValueError, match="could not be read"):
        fit.draw(network, [Path("x")], lambda picture: 0.5, 8, np.random.default_rng(0))
