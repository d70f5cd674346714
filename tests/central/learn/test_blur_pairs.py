"""Learning from what people said of blur pairs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from central.learn.blur import pairs
from central.learn.blur.fit import consistency_loss
from central.learn.blur.pairs import Comparison, canvas, draw, loss, pooled, read


def folder(tmp_path: Path, *answers: object) -> Path:
    """A folder of comparisons of a sharp with a blurred crop."""
    (tmp_path / "crops").mkdir()
    sharp = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    for name, image in (("sharp", sharp), ("blurred", cv2.GaussianBlur(sharp, (0, 0), 2))):
        cv2.imwrite(str(tmp_path / "crops" / f"{name}.png"), image)
    rows = [{"left": "sharp", "right": "blurred", "answer": answer} for answer in answers]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_read__and_draw(tmp_path: Path) -> None:
    found = read(folder(tmp_path, "left", "cant_tell"))
    assert [c.answer for c in found] == ["left", "cant_tell"]
    images, signs = draw(found[:1], 3, np.random.default_rng(0))
    assert signs == [1, 1, 1] and len(images) == 6
    assert draw([Comparison(Path("no"), Path("no"), "left")], 2, np.random.default_rng(0)) == ([], [])


@pytest.mark.parametrize("answer", ["up", None, 3])
def test_read__names_what_is_wrong(tmp_path: Path, answer: object) -> None:
    with pytest.raises(ValueError, match="line 1"):
        read(folder(tmp_path, answer))


@pytest.mark.parametrize(
    ("size", "cells"), [((40, 60), (0, 5, 0, 7)), ((300, 20), (0, 16, 0, 2)), ((4, 4), (0, 1, 0, 1))]
)
def test_canvas__pixels_stay_as_they_are(size: tuple[int, int], cells: tuple[int, int, int, int]) -> None:
    crop = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    whole, inside = canvas(crop)
    assert whole.shape == (pairs.SIDE, pairs.SIDE, 3) and inside == cells
    assert np.isin(crop[size[0] // 2, size[1] // 2], whole).all()


@pytest.mark.parametrize(
    ("left", "right", "sign", "expected"),
    [
        (0.0, 1.0, 1, 0.0),
        (1.0, 0.0, 1, 1.1),
        (1.0, 0.0, -1, 0.0),
        (0.0, 0.0, 1, 0.1),
        (0.0, 1.0, 0, 0.9),
        (0.0, 0.05, 0, 0.0),
    ],
)  # fmt: skip
def test_loss__known_values(left: float, right: float, sign: int, expected: float) -> None:
    one, other, signs = (torch.tensor([float(v)]) for v in (left, right, sign))
    assert float(loss(one, other, signs)) == pytest.approx(expected)
    assert float(loss(other, one, -signs)) == pytest.approx(expected), "turning the pair round changes nothing"


def test_loss__pushes_the_blurrier_one_up() -> None:
    scores = torch.zeros(2, requires_grad=True)
    loss(scores[:1], scores[1:], torch.ones(1)).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None and scores.grad[0] > 0 > scores.grad[1]


def test_pooled__only_the_crop_counts() -> None:
    scores = torch.zeros(1, 1, 16, 16)
    scores[0, 0, :5, :7] = 2.0
    assert pooled(scores, [(0, 5, 0, 7)]).tolist() == [2.0]


@pytest.mark.parametrize(
    ("teacher", "degraded", "nothing"),
    [((0.0, 1.0), (0.0, 0.5), True), ((0.0, 1.0), (0.5, 0.0), False), ((0.0, 0.04), (0.5, 0.0), True)],
)
def test_consistency_loss__case(teacher: tuple[float, ...], degraded: tuple[float, ...], nothing: bool) -> None:
    """Frames that are blurred alike stay in the order that they had, where that was sure."""
    assert (float(consistency_loss(torch.tensor(teacher), torch.tensor(degraded))) == 0.0) == nothing
