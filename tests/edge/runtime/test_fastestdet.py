"""FastestDet's grid against a cell-by-cell reading of its author's description."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.runtime import RuntimeFault
from edge.runtime.decoders import find, names
from protocols.pack import Input, Manifest

LABELS = ["a", "b", "c"]


def manifest(labels: list[str] = LABELS) -> Manifest:
    return Manifest(name="f", labels=labels, input=Input(height=64, width=96))


def slow(grid: np.ndarray, threshold: float) -> list[tuple[float, ...]]:
    """Every cell in turn, as shares of the image, then in pixels of 96 x 64."""
    _, channels, rows, columns = grid.shape
    found = []
    for y in range(rows):
        for x in range(columns):
            cell = [float(grid[0, c, y, x]) for c in range(channels)]
            label = max(range(channels - 5), key=lambda c: cell[5 + c])
            score = math.pow(cell[0], 0.6) * math.pow(cell[5 + label], 0.4)
            if score < threshold:
                continue
            cx, cy = (x + math.tanh(cell[1])) / columns, (y + math.tanh(cell[2])) / rows
            w, h = 1 / (1 + math.exp(-cell[3])), 1 / (1 + math.exp(-cell[4]))
            box = ((cx - w / 2) * 96, (cy - h / 2) * 64, (cx + w / 2) * 96, (cy + h / 2) * 64)
            found.append((*box, score, label))
    return found


def grid(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(size=(1, 8, 4, 6)).astype(np.float32)
    values[:, 0] = random.uniform(size=(1, 4, 6))
    values[:, 5:] = random.dirichlet([1, 1, 1], (1, 4, 6)).transpose(0, 3, 1, 2)
    return values


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_decode__like_slow(seed: int, threshold: float) -> None:
    values = grid(seed)
    found, scores = find("fastestdet").decode({"758": values}, manifest(), threshold)
    expected = slow(values, threshold)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.boxes, [row[:4] for row in expected], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, [row[4] for row in expected], rtol=1e-4)
    assert found.classes.tolist() == [row[5] for row in expected]
    assert scores is not None
    np.testing.assert_allclose(scores.max(axis=1), found.scores)


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        ({"758": grid(0)}, ["a"]),
        ({"x": grid(0), "y": grid(0)}, LABELS),
        ({}, LABELS),
        ({"758": np.zeros((1, 8))}, LABELS),
    ],
)
def test_decode__outputs_that_do_not_fit(outputs: dict[str, np.ndarray], labels: list[str]) -> None:
    with pytest.raises(RuntimeFault, match="fastestdet"):
        find("fastestdet").decode(outputs, manifest(labels), 0.1)


def test_find__names_the_families() -> None:
    assert {"wayside", "fastestdet"} <= set(names())
    with pytest.raises(RuntimeFault, match="'yolo9000' is unknown"):
        find("yolo9000")
