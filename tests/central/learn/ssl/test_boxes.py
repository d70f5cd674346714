"""Boxes without labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from central.learn.ssl import boxes, sources
from central.learn.ssl.boxes import motion, poses, proposals
from central.learn.ssl.boxes.tracks import link
from central.learn.ssl.material import MaterialError
from edge.runtime.nms import overlaps
from tests.central.learn.ssl import streets


def truth(place: int) -> np.ndarray:
    x = (place * 4 + 3) % (streets.WIDTH - 24)
    left = streets.WIDTH - 24 - x
    return np.array([[x, 30, x + 22, 50], [left, 64, left + 18, 82]], np.float32)


def test_motion__finds_what_drives(tmp_path: Path) -> None:
    stock = streets.stock(tmp_path, 1)
    found = motion.BOXES.find(stock, boxes.wanted(stock), boxes.ANYTHING, lambda _: None)
    size = np.array([streets.WIDTH, streets.HEIGHT] * 2, np.float32)
    hits = [overlaps(found[i] * size, truth(i)).max(axis=0) > 0.5 for i in range(16)]
    assert np.mean(hits) > 0.85


def test_motion__each_pose_has_its_own_background(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    for i in range(32):
        shown = streets.frame(0, i % 16)
        cv2.imwrite(str(tmp_path / "c" / f"{i:03d}.png"), shown if i < 16 else shown[:, ::-1])
    stock = sources.folder(tmp_path)
    found = motion.BOXES.find(stock, boxes.wanted(stock), boxes.ANYTHING, lambda _: None)
    size = np.array([streets.WIDTH, streets.HEIGHT] * 2, np.float32)
    hits = []
    for i in range(32):
        wanted = truth(i % 16)
        if i >= 16:
            wanted[:, [0, 2]] = streets.WIDTH - wanted[:, [2, 0]]
        hits.append(overlaps(found[i] * size, wanted).max(axis=0, initial=0.0) > 0.5)
    assert np.mean(hits) > 0.85


def test_motion__other_light_is_no_motion(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "c").mkdir()
    for i in range(9):
        light = random.uniform(0.5, 1.4) * streets.scene(3).astype(np.float32) + random.uniform(-15, 15)
        cv2.imwrite(str(tmp_path / "c" / f"{i}.png"), light.clip(0, 255).astype(np.uint8))
    stock = sources.folder(tmp_path)
    assert not len(boxes.gather(stock, ("motion",)).corners)
    shown = [image for i in range(9) if (image := stock.read(i)) is not None]
    assert [len(pose) for pose in poses.of(shown)] == [9]


def test_poses__one_where_hardly_anything_has_edges() -> None:
    night = np.zeros((6, 96, 128, 3), np.uint8)
    night[:, 20:24, 30:36] = 200  # a lamp
    for i, image in enumerate(night):
        image[60:64, 10 + 15 * i : 16 + 15 * i] = 90
    assert [len(pose) for pose in poses.of(list(night))] == [6]


def test_poses__a_turned_and_a_mirrored_camera_and_a_dimmed_one() -> None:
    day = [streets.frame(0, i) for i in range(6)]
    dusk = [(f * 0.4).astype(np.uint8) for f in day]
    turned = [streets.frame(1, i) for i in range(5)]
    mirrored = [f[:, ::-1] for f in day[:4]]
    found = poses.of([*day, *dusk, *turned, *mirrored])
    assert [g.tolist() for g in found] == [list(range(12)), [12, 13, 14, 15, 16], [17, 18, 19, 20]]


def test_motion__nothing_from_a_camera_that_shakes(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / "c" / f"{i}.png"), streets.scene(100 + i))
    assert not len(boxes.gather(sources.folder(tmp_path), ("motion",)).corners)


def test_proposals__stand_out_of_one_picture() -> None:
    image = np.full((120, 160, 3), 90, np.uint8)
    image[40:80, 60:110] = (30, 60, 210)
    found = proposals.propose(image) * np.array([160, 120, 160, 120], np.float32)
    assert overlaps(found, np.array([[60, 40, 110, 80]], np.float32)).max() > 0.6
    assert not len(proposals.propose(np.full((64, 64, 3), 80, np.uint8)))


def test_gather__the_first_source_that_finds_any(tmp_path: Path) -> None:
    stock = streets.stock(tmp_path, 1)
    only, both = boxes.gather(stock, ("motion",)), boxes.gather(stock, ("motion", "proposals"))
    moving = [i for i in range(16) if len(only.of(i)[0])]
    assert moving and all(np.array_equal(only.of(i)[0], both.of(i)[0]) for i in moving)
    with pytest.raises(MaterialError, match="no 'wishes'; there are detector, motion, proposals"):
        boxes.gather(stock, ("wishes",))


def test_gather__only_what_moves_is_certain_where_others_help_out(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    for i in range(24):  # something drives through in the first half
        cv2.imwrite(str(tmp_path / "c" / f"{i:03d}.png"), streets.frame(0, i) if i < 12 else streets.scene(0))
    stock = sources.folder(tmp_path)
    found = boxes.gather(stock, ("motion", "proposals"))
    moving = boxes.gather(stock, ("motion",))
    assert found.certain.tolist() == moving.certain.tolist() == [len(moving.of(i)[0]) > 0 for i in range(24)]
    assert found.certain[:12].sum() > 8 and not found.certain[12:].any()
    guessed = boxes.gather(stock, ("proposals",))
    assert len(guessed.corners) and not guessed.certain.any()


def test_cached__found_once_for_the_same_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = streets.stock(tmp_path / "street", 1)
    first = boxes.cached(stock, ("motion",), tmp_path)
    monkeypatch.setattr(boxes, "gather", lambda *_: pytest.fail("looked again"))
    again = boxes.cached(stock, ("motion",), tmp_path)
    assert np.array_equal(first.corners, again.corners) and np.array_equal(first.tracks, again.tracks)
    monkeypatch.undo()
    (tmp_path / boxes.FILE).write_bytes(b"half of a fi")
    assert np.array_equal(boxes.cached(stock, ("motion",), tmp_path).starts, first.starts)


def test_tracks__follow_and_forget() -> None:
    def box(x: float) -> np.ndarray:
        return np.array([[x, 0, x + 0.2, 0.2]], np.float32)

    times = np.array([0.0, 0.1, 0.2, 1.0])
    numbers, after = link(times, [box(0.1), box(0.15), box(0.6), box(0.62)])
    assert [n.tolist() for n in numbers] == [[0], [0], [1], [2]] and after == 3
