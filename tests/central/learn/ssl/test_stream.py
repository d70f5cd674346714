"""From the stock to batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from central.learn.ssl import Needs, sources
from central.learn.ssl import stream as streaming
from central.learn.ssl.material import MaterialError, Shot, Stock
from central.learn.ssl.stream import Stream, collate, shares
from tests.central.learn.ssl import streets


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return streets.stock(tmp_path, frames=24)


EVERYTHING = Needs(views=True, boxes=True, plain=True, clip=3, pace=0.1, flow=True, scene=True)


def test_batch__every_part_and_shape(stock: Stock) -> None:
    stream = Stream(stock, streets.boxed(stock), EVERYTHING, (64, 96), 4, seed=0)
    batch = collate([stream[i] for i in range(4)])
    shapes = {name: tuple(t.shape) for name, t in batch._asdict().items() if t is not None}
    assert shapes == {
        "frame": (4,), "camera": (4,), "gap": (4,), "boxed": (4, 6), "times": (4, 3),
        "first": (4, 3, 64, 96), "second": (4, 3, 64, 96), "plain": (4, 3, 64, 96), "clip": (4, 3, 3, 64, 96),
        "first_map": (4, 2, 3), "second_map": (4, 2, 3), "first_boxes": (4, 6, 4), "second_boxes": (4, 6, 4),
        "moving": (4, 3, 1, 8, 12), "flow": (4, 2, 2, 8, 12),
        "scene": (4, 3, 64, 96), "scene_boxes": (4, 64, 4), "scene_boxed": (4, 64),
    }  # fmt: skip
    assert batch.first is not None and batch.first.dtype == torch.uint8


def test_boxes__are_the_same_thing_in_both_views(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "recoloured", lambda image, *_: image)
    stream = Stream(stock, streets.boxed(stock), Needs(views=True, boxes=True, clean=True), (96, 96), 60, seed=1)
    gaps, hues = [], []
    for i in range(60):
        sample = stream[i]
        gaps.append(float(sample["gap"]))
        for k in np.flatnonzero(sample["boxed"]):
            tints = []
            for view in ("first", "second"):
                x1, y1, x2, y2 = sample[f"{view}_boxes"][k].round().astype(int)
                middle = sample[view][(y1 + y2) // 2, (x1 + x2) // 2].astype(int)
                tints.append(int(middle.argmax()))
            hues.append(tints[0] == tints[1])
    assert len(hues) > 40 and np.mean(hues) > 0.8
    assert any(gaps) and all(g == 0 or 0.5 <= abs(g) <= 2 for g in gaps)


def test_scene__its_boxes_lie_on_what_drives(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "SCENE", replace(streaming.SCENE, colour=0.0, night=0.0, degrade=0.0))
    stream = Stream(stock, streets.boxed(stock), Needs(scene=True), (96, 96), 20, seed=1)
    vivid = []
    for i in range(20):
        sample = stream[i]
        for x1, y1, x2, y2 in sample["scene_boxes"][sample["scene_boxed"]].round().astype(int):
            middle = sample["scene"][(y1 + y2) // 2, (x1 + x2) // 2].astype(int)
            vivid.append(int(middle.max() - middle.min()) > 120)  # the squares are, the street is not
    assert len(vivid) > 40 and np.mean(vivid) > 0.8


def test_scene__needs_boxes_of_whole_things(stock: Stock) -> None:
    guessed = streets.boxed(stock)
    guessed.certain[:] = False
    for boxes in (None, guessed):
        with pytest.raises(MaterialError, match=r"fixed cameras .*leave out 'locate'"):
            Stream(stock, boxes, Needs(scene=True), (64, 64), 4, seed=0)


@pytest.mark.parametrize(("close", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_close__such_a_share_of_the_views_shows_one_object(stock: Stock, close: float, share: float) -> None:
    stream = Stream(stock, streets.boxed(stock), Needs(views=True, boxes=True), (64, 64), 120, 3, close=close)
    parts = []
    for i in range(120):
        matrix = stream[i]["first_map"]
        parts.append(64 * 64 / abs(float(matrix[0, 0] * matrix[1, 1])))
    assert np.mean(np.array(parts) < 0.3) == pytest.approx(share, abs=0.12)


def test_stream__same_sample_with_any_number_of_workers(stock: Stock) -> None:
    def batches(workers: int, start: int = 0) -> list[torch.Tensor]:
        stream = Stream(stock, None, Needs(views=True), (64, 64), 8, 7, start, workers)
        return [b.first for b in DataLoader(stream, 2, num_workers=workers, collate_fn=collate)]

    alone, two, later = batches(0), batches(1), batches(0, 4)
    assert all(torch.equal(a, b) for a, b in zip(alone, two, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(alone[2:], later, strict=True))


def test_moving__only_where_something_moves(stock: Stock) -> None:
    stream = Stream(stock, None, Needs(clip=3, pace=0.1, flow=True), (96, 128), 8, seed=2)
    moving = np.mean([stream[i]["moving"].mean() for i in range(8)])
    assert 0.001 < moving < 0.2


@pytest.mark.parametrize(
    ("needs", "says"), [(Needs(clip=50), "no 50 frames in a row"), (Needs(stereo=True), "no rectified pair")]
)
def test_stream__says_what_is_missing(stock: Stock, needs: Needs, says: str) -> None:
    with pytest.raises(MaterialError, match=says):
        Stream(stock, None, needs, (64, 64), 4, 0)


def test_stereo__both_cropped_alike(tmp_path: Path) -> None:
    left = streets.write(tmp_path / "left", 1, 4)
    stock = sources.pairs(left, streets.write(tmp_path / "right", 1, 4), 1.2, 0.5)
    sample = Stream(stock, None, Needs(plain=True, stereo=True), (64, 64), 1, 0)[0]
    assert np.array_equal(sample["plain"], sample["right"])
    focal, baseline = sample["rig"]
    assert baseline == 0.5 and focal >= 1.2 * 64


def test_shares__rare_cameras_more_often() -> None:
    shots = [Shot(0, str(i), int(i >= 9), float("nan")) for i in range(10)]
    drawn = shares(Stock((), shots, ("a", "b")), np.arange(10))
    assert drawn.sum() == pytest.approx(1) and drawn[9] == pytest.approx(3 * drawn[0])
