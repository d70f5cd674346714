"""How the stream is cut, and what its shares are shares of."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.stream import ALL, NONE, OURS, Loop, Sent, Shot, parts, summary, weights
from central.learn.data import Example
from central.learn.detect.coco import DatasetError


def example(path: Path) -> Example:
    one = np.array([[2.0, 2.0, 20.0, 20.0]], np.float32)
    return Example(path, one, np.array([0]), np.ones(1, np.float32), np.ones(1, bool))


def shots(count: int, first: int, folder: Path = Path()) -> list[Shot]:
    """Return `count` frames a second apart, with truth from the frame `first` on."""
    paths = [folder / f"{i}.png" for i in range(count)]
    return [Shot(p, float(i), example(p) if i >= first else None) for i, p in enumerate(paths)]


def test_parts__rounds_are_even_and_in_order() -> None:
    seen, late = parts(shots(30, 10), 0.6, 0.0, 3)
    assert [[s.now for s in own if s.truth is not None] for own in seen] == [
        [10, 11, 12, 13], [14, 15, 16, 17], [18, 19, 20, 21],
    ]  # fmt: skip
    assert [s.now for s in seen[0]][:3] == [0, 1, 2]
    assert [e.path.stem for e in late] == ["22", "25", "28"]


def test_parts__what_judges_is_some_time_on() -> None:
    _, late = parts(shots(30, 10), 0.6, 4.0, 3)
    assert late[0].path.stem == "26"


@pytest.mark.parametrize(("share", "gap"), [(0.05, 0.0), (1.0, 0.0), (0.9, 60.0)])
def test_parts__too_few_frames(share: float, gap: float) -> None:
    with pytest.raises(DatasetError):
        parts(shots(30, 10), share, gap, 3)


def test_summary__shares_are_of_the_same_seed() -> None:
    rows = [
        {ALL: Sent(bytes=1000, curve=[(9, 1000, high)]), OURS: Sent(bytes=40 + seed, curve=[(1, 40 + seed, low)])}
        for seed, (high, low) in enumerate([(0.8, 0.8), (0.4, 0.2)])
    ]
    found = summary(rows, 1000)[OURS]
    assert found["ap50_share"] == found["mean"] == pytest.approx(0.75)
    assert found["std"] == pytest.approx(0.25)
    assert found["seeds"] == 2
    assert found["byte_share"] == pytest.approx(0.0405)
    assert found["byte_share_most"] == pytest.approx(0.041)
    assert found["gain_share"] is None


def test_summary__the_gain_is_over_no_training() -> None:
    row = {name: Sent(curve=[(1, 1, ap50)]) for name, ap50 in ((ALL, 0.9), (NONE, 0.5), (OURS, 0.8))}
    found = summary([row], 1000)
    assert found[OURS]["gain_share"] == pytest.approx(0.75)
    assert found[NONE]["gain_share"] == pytest.approx(0.0)


@pytest.mark.parametrize("name", [ALL, "timelapse", "uniform"])
def test_select__bytes_are_those_of_what_arrives(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    own = shots(120, 20, tmp_path)
    for shot in own:
        cv2.imwrite(str(shot.path), random.integers(0, 256, (48, 64, 3), np.uint8))
    (tmp_path / "sent").mkdir()
    options = argparse.Namespace(bytes=0.1, gap=1.0, quality=90)
    network: Any = argparse.Namespace(config=argparse.Namespace(labels=("car",)))
    loop = Loop(options, name, 0, network, network, tmp_path / "sent")
    sizes = weights([own], 90)
    total = sum(sizes)
    found = loop.select(own, loop.selector(sizes, 20.0, 119.0), 0)
    assert loop.sent.bytes == sum(e.path.stat().st_size for e in found)
    if name == ALL:
        assert (loop.sent.bytes, len(found)) == (total, 100)
    else:
        assert 0.05 * total < loop.sent.bytes < 0.15 * total


def test_follow__without_training_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    judged = iter([0.5])  # once: the pack does not change
    monkeypatch.setattr("benchmarks.stream.judge", lambda *_: next(judged))
    network: Any = argparse.Namespace(config=argparse.Namespace(labels=("car",)))
    seen, late = parts(shots(30, 10), 0.6, 0.0, 3)
    sent = Loop(argparse.Namespace(), NONE, 0, network, network, tmp_path).follow(seen, late, [1000])
    assert sent.curve == [(0, 0, 0.5)] * 3
