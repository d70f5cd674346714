"""Every family against a slow reading of what its authors say of its outputs, cell by cell."""

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
    found: list[tuple[float, ...]] = []
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
def test_fastestdet__like_slow(seed: int, threshold: float) -> None:
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
def test_fastestdet__outputs_that_do_not_fit(outputs: dict[str, np.ndarray], labels: list[str]) -> None:
    with pytest.raises(RuntimeFault, match="fastestdet"):
        find("fastestdet").decode(outputs, manifest(labels), 0.1)


def test_find__names_the_families() -> None:
    assert {"wayside", "fastestdet"} <= set(names())
    with pytest.raises(RuntimeFault, match="'yolo9000' is unknown"):
        find("yolo9000")


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def shares(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def cells(height: int, width: int, strides: list[int]) -> list[tuple[int, int, int]]:
    return [
        (x, y, stride)
        for stride in strides
        for y in range(math.ceil(height / stride))
        for x in range(math.ceil(width / stride))
    ]


Row = tuple[list[float], list[float]]


def best_of(scores: list[float]) -> tuple[float, int]:
    top = max(scores)
    return top, scores.index(top)


def expect(family: str, outputs: dict[str, np.ndarray], about: Manifest, rows: list[Row], threshold: float) -> None:
    """Compare with `rows` of (box xyxy, class scores), all of them, in order."""
    found, scores = find(family).decode(outputs, about, threshold)
    kept = [row for row in rows if best_of(row[1])[0] >= threshold]
    assert 0 < len(kept) == len(found)
    np.testing.assert_allclose(found.boxes, [row[0] for row in kept], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, [best_of(row[1])[0] for row in kept], rtol=1e-4)
    assert found.classes.tolist() == [best_of(row[1])[1] for row in kept]
    assert scores is not None
    np.testing.assert_allclose(scores, [row[1] for row in kept], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("strides", [[8, 16, 32], [8, 16, 32, 64]])
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_yolox__like_slow(strides: list[int], threshold: float) -> None:
    random = np.random.default_rng(1)
    places = cells(64, 96, strides)
    values = random.normal(size=(1, len(places), 8)).astype(np.float32)
    values[..., 4:] = random.uniform(size=values[..., 4:].shape)
    rows: list[Row] = []
    for (x, y, stride), cell in zip(places, values[0].tolist(), strict=True):
        cx, cy, w, h = (
            (x + cell[0]) * stride,
            (y + cell[1]) * stride,
            stride * math.exp(cell[2]),
            stride * math.exp(cell[3]),
        )
        rows.append(([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], [cell[4] * value for value in cell[5:]]))
    expect("yolox", {"output": values}, manifest(), rows, threshold)


@pytest.mark.parametrize("bins", [8, 17])
@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_nanodet__like_slow(bins: int, threshold: float) -> None:
    random = np.random.default_rng(2)
    places = cells(72, 100, [8, 16, 32, 64])
    values = random.normal(0, 2, size=(1, len(places), 3 + 4 * bins)).astype(np.float32)
    values[..., :3] = random.uniform(size=values[..., :3].shape)
    about = Manifest(name="n", labels=LABELS, input=Input(height=72, width=100))
    rows: list[Row] = []
    spreads = []
    for (x, y, stride), cell in zip(places, values[0].tolist(), strict=True):
        sides, deviations = [], []
        for side in range(4):
            weight = shares(cell[3 + side * bins : 3 + (side + 1) * bins])
            mean = sum(step * share for step, share in enumerate(weight))
            sides.append(mean * stride)
            deviations.append(stride * math.sqrt(sum(share * (step - mean) ** 2 for step, share in enumerate(weight))))
        left, top, right, bottom = sides
        rows.append(([x * stride - left, y * stride - top, x * stride + right, y * stride + bottom], cell[:3]))
        if max(cell[:3]) >= threshold:
            spreads.append(deviations)
    expect("nanodet", {"output": values}, about, rows, threshold)
    spread = find("nanodet").decode({"output": values}, about, threshold)[0].spread
    assert spread is not None
    np.testing.assert_allclose(spread, spreads, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_yolov8__like_slow(transposed: bool, threshold: float) -> None:
    random = np.random.default_rng(3)
    values = random.uniform(0, 1, (50, 7)).astype(np.float32)
    values[:, :4] *= 60
    rows: list[Row] = [
        ([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], scores) for cx, cy, w, h, *scores in values.tolist()
    ]
    output = values[None] if transposed else values.T[None]
    expect("yolov8", {"output0": output}, manifest(), rows, threshold)


@pytest.mark.parametrize("names", [("logits", "pred_boxes"), ("pred_logits", "boxes")])
@pytest.mark.parametrize("background", [False, True])
def test_detr__like_slow(names: tuple[str, str], background: bool) -> None:
    random = np.random.default_rng(4)
    logits = random.normal(size=(1, 20, 4 if background else 3)).astype(np.float32)
    boxes = random.uniform(size=(1, 20, 4)).astype(np.float32)
    rows: list[Row] = []
    for (cx, cy, w, h), row in zip(boxes[0].tolist(), logits[0].tolist(), strict=True):
        scores = shares(row)[:3] if background else [logistic(value) for value in row]
        rows.append(([(cx - w / 2) * 96, (cy - h / 2) * 64, (cx + w / 2) * 96, (cy + h / 2) * 64], scores))
    expect("detr", {names[0]: logits, names[1]: boxes}, manifest(), rows, 0.3)


def test_detr__suppresses_nothing() -> None:
    assert find("detr").nms_iou == 1.0


@pytest.mark.parametrize(
    ("family", "outputs"),
    [
        ("yolox", {"o": np.zeros((1, 12, 8))}),
        ("yolox", {"o": np.zeros((1, 126, 9))}),
        ("yolox", {"o": np.zeros((8, 126))}),
        ("nanodet", {"o": np.zeros((1, 10, 35))}),
        ("nanodet", {"o": np.zeros((1, 128, 34))}),
        ("nanodet", {"o": np.zeros((1, 128, 3))}),
        ("yolov8", {"o": np.zeros((1, 8, 9))}),
        ("yolov8", {"o": np.zeros((7, 9))}),
        ("yolov8", {}),
        ("detr", {"logits": np.zeros((1, 20, 3))}),
        ("detr", {"logits": np.zeros((1, 20, 5)), "pred_boxes": np.zeros((1, 20, 4))}),
        ("detr", {"logits": np.zeros((1, 20, 3)), "pred_boxes": np.zeros((1, 21, 4))}),
    ],
)
def test_decode__misshapen_outputs_name_the_family(family: str, outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(RuntimeFault, match=f"{family}: |family '{family}'"):
        find(family).decode(outputs, manifest(), 0.1)


def test_decode__infinite_sizes_are_left_out() -> None:
    values = np.zeros((1, 126, 8), np.float32)
    values[..., 4:] = 1
    values[0, 0, 2] = np.inf
    values[0, 1, 0] = np.nan
    with np.errstate(invalid="ignore"):
        found, _ = find("yolox").decode({"o": values}, manifest(), 0.5)
    assert len(found) == 125
    assert np.isfinite(found.boxes).all()
