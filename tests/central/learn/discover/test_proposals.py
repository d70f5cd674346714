"""Ways to find boxes that may hold something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from central.learn.data.dataset import read_image
from central.learn.discover import proposals
from central.learn.discover.proposals import Boxes, Kit, ProposalError, find, ranked, several, union, ways
from central.learn.discover.proposals.features import lost, token_cut
from central.learn.discover.saliency import agreement, content
from central.learn.discover.trunk import Seen
from edge.runtime.nms import overlaps
from edge.runtime.prepare import letterbox
from protocols.slots import SlotError

THING = np.array([[40, 50, 100, 90]], np.float32)


def scene(bars: int = 0) -> np.ndarray:
    """A red thing on a noisy ground, with black bars above and below."""
    image = np.random.default_rng(0).integers(90, 130, (150, 160, 3)).astype(np.uint8)
    x1, y1, x2, y2 = THING[0].astype(int)
    image[y1:y2, x1:x2] = (30, 40, 200)
    if bars:
        image[:bars], image[-bars:] = 0, 0
    return image


@pytest.mark.parametrize("way", ["classical", "windows"])
@pytest.mark.parametrize("bars", [0, 20])
def test_ways__find_a_thing_that_stands_out(way: str, bars: int) -> None:
    found = find(way).open(Kit()).propose(scene(bars), "", None)
    assert overlaps(found.boxes, THING).max() >= (0.8 if way == "classical" else 0.5)
    assert len(found.boxes) <= proposals.LIMIT


def test_classical__the_thing_is_among_the_first() -> None:
    found = find("classical").open(Kit()).propose(scene(), "", None)
    assert overlaps(found.boxes[:5], THING).max() >= 0.7


@pytest.mark.parametrize("shape", [(1, 1, 3), (6, 300, 3), (40, 40, 3)])
def test_ways__any_image_has_boxes_within_it(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 128, np.uint8)
    for way in ("classical", "windows"):
        found = find(way).open(Kit()).propose(image, "", None)
        assert (found.boxes >= 0).all()
        assert (found.boxes <= np.array([shape[1], shape[0]] * 2) + 1e-3).all()


def test_content__between_bars() -> None:
    assert content(scene(20)) == (0, 20, 160, 130)
    assert content(np.zeros((5, 7, 3), np.uint8)) == (0, 0, 7, 5)


def test_agreement__is_one_for_the_box_of_what_stands_out() -> None:
    saliency = np.zeros((20, 20), np.float32)
    saliency[5:10, 5:15] = 1
    boxes = np.array([[5, 5, 15, 10], [0, 0, 20, 20], [0, 0, 5, 5]], np.float32)
    assert agreement(saliency, boxes).tolist() == pytest.approx([1.0, 50 / 400, 0.0])


def test_motion__what_moves_before_a_fixed_camera(tmp_path: Path) -> None:
    ground = np.random.default_rng(0).integers(90, 130, (120, 160, 3)).astype(np.uint8)
    paths = []
    for place in range(12):
        image = ground.copy()
        image[40:60, 10 * place : 10 * place + 24] = (20, 20, 220)
        paths.append(tmp_path / f"{place:02}.png")
        cv2.imwrite(str(paths[-1]), image)
    opened = find("motion").open(Kit({"gate": paths}))
    frame = read_image(str(paths[6]))
    assert frame is not None
    found = opened.propose(frame, "gate", paths[6])
    assert overlaps(found.boxes, np.array([[60, 40, 84, 60]], np.float32)).max() >= 0.6
    assert not len(opened.propose(frame, "", paths[6]).boxes)
    assert not len(opened.propose(frame, "gate", tmp_path / "other.png").boxes)


@pytest.mark.parametrize(("way", "says"), [("motion", "camera"), ("features", "trunk"), ("detector", "pack")])
def test_open__says_what_it_needs(way: str, says: str) -> None:
    with pytest.raises(ProposalError, match=says):
        find(way).open(Kit())


def test_open__a_pack_that_is_not_there() -> None:
    with pytest.raises(ProposalError, match="nowhere"):
        find("detector").open(Kit(pack="/nowhere.wpack"))


def planted() -> np.ndarray:
    """Patches of two kinds: an object of 4 x 3 on a ground, ``[c, h, w]``."""
    random = np.random.default_rng(0)
    level = np.tile(np.array([1.0, 0.0, 0.2])[:, None, None], (1, 12, 12)) + random.normal(0, 0.02, (3, 12, 12))
    level[:, 4:7, 3:7] = np.array([0.0, 1.0, 0.2])[:, None, None] + random.normal(0, 0.02, (3, 3, 4))
    return level.astype(np.float32)


@pytest.mark.parametrize("way", [lost, token_cut])
def test_features__the_planted_patches(way: Any) -> None:
    from central.learn.discover.proposals.features import likeness

    mask = way(likeness(planted()), (12, 12), np.ones(144, bool))
    assert mask[4:7, 3:7].all()
    assert mask.sum() <= 14


def test_features__boxes_in_pixels_of_the_image() -> None:
    image = np.zeros((96, 96, 3), np.uint8)

    class Planted:
        key, tags = "planted", ()

        def __call__(self, given: np.ndarray) -> Seen:
            level = torch.from_numpy(planted())
            return Seen([(level, 16.0)], (level, 16.0), None, letterbox(given, 192, 192)[1])

    found = find("features").open(Kit(trunk=Planted())).propose(image, "", None)
    assert overlaps(found.boxes, np.array([[24, 32, 56, 56]], np.float32)).max() == pytest.approx(1.0)


def test_union__ways_take_turns_and_nothing_is_there_twice() -> None:
    one = Boxes(np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32), np.array([0.9, 0.8], np.float32))
    other = Boxes(np.array([[0, 0, 10, 10.5], [20, 20, 30, 30]], np.float32), np.array([1e-3, 1e-4], np.float32))
    found = union([one, other])
    assert found.boxes[:, 0].tolist() == [0, 50, 20]
    assert len(union([one, other], limit=2).boxes) == 2
    assert not len(union([]).boxes)


def test_ranked__leaves_out_what_has_no_area() -> None:
    boxes = np.array([[0, 0, 0.5, 9], [5, 5, 1, 1], [0, 0, 9, 9]], np.float32)
    assert ranked(boxes, np.array([3, 2, 1], np.float32)).boxes.tolist() == [[0, 0, 9, 9]]


def test_several__names() -> None:
    assert set(ways()) == {"classical", "detector", "features", "motion", "windows"}
    with pytest.raises(ProposalError, match="classical"):
        several([], Kit())
    with pytest.raises(SlotError, match="classical"):
        several(["none"], Kit())
