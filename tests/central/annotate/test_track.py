"""Following boxes from one image to another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from central.annotate.boxes import LabelBox
from central.annotate.track import TrackError, move
from central.annotate.verdicts import iou

Image = NDArray[np.uint8]
SIZE = (360, 640)
CAR = np.random.default_rng(5).integers(0, 255, (8, 12, 3), np.uint8)


def scene(at: tuple[int, int] | None, grow: float = 1.0, seed: int = 1) -> Image:
    """A street with texture, and a car of 60 x 40 pixels with its corner at `at`."""
    rough = np.random.default_rng(seed).integers(0, 255, (18, 32, 3), np.uint8)
    image = cv2.GaussianBlur(cv2.resize(rough, SIZE[::-1], interpolation=cv2.INTER_CUBIC), (0, 0), 3)
    if at is not None:
        width, height = round(60 * grow), round(40 * grow)
        image[at[1] : at[1] + height, at[0] : at[0] + width] = cv2.resize(
            CAR, (width, height), interpolation=cv2.INTER_NEAREST
        )
    return np.asarray(image, np.uint8)


def box(at: tuple[int, int], grow: float = 1.0) -> tuple[float, float, float, float]:
    return at[0], at[1], at[0] + 60 * grow, at[1] + 40 * grow


@pytest.mark.parametrize(
    ("to", "grow"), [((200, 100), 1.0), ((212, 106), 1.0), ((150, 90), 1.0), ((205, 103), 1.1), ((245, 130), 1.0)]
)
def test_move__finds_the_object_again(to: tuple[int, int], grow: float) -> None:
    found = move(scene((200, 100)), scene(to, grow), [LabelBox(box((200, 100)), "car")])
    assert len(found) == 1
    assert iou(found[0].box.box, box(to, grow)) > 0.8
    assert 0.6 <= found[0].confidence <= 1.0


def test_move__drops_what_is_gone() -> None:
    assert move(scene((200, 100)), scene(None), [LabelBox(box((200, 100)), "car")]) == []


def test_move__outline_goes_with_the_box() -> None:
    ring = ((200.0, 100.0), (260.0, 100.0), (230.0, 140.0))
    found = move(scene((200, 100)), scene((212, 106)), [LabelBox(box((200, 100)), "car", mask=(ring,))])
    assert found[0].box.mask is not None
    assert np.allclose(found[0].box.mask[0], np.add(ring, (12, 6)), atol=2.0)


def test_move__large_frames_keep_their_pixels() -> None:
    places = ((200, 100), (212, 106))
    big = [np.asarray(cv2.resize(scene(at), (1920, 1080), interpolation=cv2.INTER_CUBIC), np.uint8) for at in places]
    found = move(big[0], big[1], [LabelBox((600, 300, 780, 420), "car")])
    assert iou(found[0].box.box, (636, 318, 816, 438)) > 0.8


@pytest.mark.parametrize("after", [scene((200, 100), seed=9), cv2.resize(scene((200, 100)), (320, 180))])
def test_move__refuses_another_scene(after: Image) -> None:
    with pytest.raises(TrackError) as caught:
        move(scene((200, 100)), after, [LabelBox(box((200, 100)), "car")])
    assert caught.value.code == "too_different"


@pytest.mark.parametrize("given", [(0, 0, 1, 1), (638, 358, 640, 360), (0, 0, 640, 360)])
def test_move__odd_boxes_do_no_harm(given: tuple[float, float, float, float]) -> None:
    flat = np.full((*SIZE, 3), 90, np.uint8)
    for image in (scene(None), flat):
        try:
            move(image, image, [LabelBox(given, "car")])
        except TrackError as error:
            assert error.code == "too_different"
