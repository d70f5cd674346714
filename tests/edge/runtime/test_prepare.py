"""Letterbox, stretch, planes, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge.runtime import prepare
from protocols.pack import Input


def image(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ((100, 200), (0, 16, 96, 64)),  # wide: bars above and below, centred
        ((200, 100), (28, 0, 68, 80)),  # tall: bars left and right
        ((80, 96), (0, 0, 96, 80)),  # fits as it is
        ((40, 48), (0, 0, 96, 80)),  # enlarged
        ((1, 5000), (0, 39, 96, 40)),  # a line is never less than a pixel
    ],
)
def test_letterbox__centres_content(source: tuple[int, int], content: tuple[int, int, int, int]) -> None:
    boxed, transform = prepare.letterbox(image(*source), 80, 96, pad=7)
    assert boxed.shape == (80, 96, 3)
    assert transform.content == content
    x1, y1, x2, y2 = content
    assert (boxed[y1:y2, x1:x2] == 200).all()
    assert (boxed == 7).sum() == (80 * 96 - (x2 - x1) * (y2 - y1)) * 3


@pytest.mark.parametrize("method", [prepare.letterbox, prepare.stretch])
def test_transform__round_trip(method: Callable[..., Any]) -> None:
    _, transform = method(image(108, 192), 352, 352)
    boxes = np.array([[0, 0, 192, 108], [10.5, 20, 30, 44.25]], np.float32)
    np.testing.assert_allclose(transform.to_source(transform.to_input(boxes)), boxes, atol=1e-3)


def test_transform__clips_to_source() -> None:
    _, transform = prepare.letterbox(image(100, 200), 96, 96)
    inside = transform.to_source(np.array([[-50, -50, 500, 500]], np.float32))
    np.testing.assert_allclose(inside, [[0, 0, 200, 100]])


def test_transform__lengths_scale_without_shift() -> None:
    _, transform = prepare.letterbox(image(100, 200), 100, 100)
    np.testing.assert_allclose(transform.lengths_to_source(np.array([[1, 2, 3, 4]], np.float32)), [[2, 4, 6, 8]])


def test_letterbox__marks_a_spot_where_the_transform_says() -> None:
    source = image(90, 160, 0)
    source[40:50, 100:110] = 255
    boxed, transform = prepare.letterbox(source, 360, 320)
    x1, y1, x2, y2 = transform.to_input(np.array([[100, 40, 110, 50]], np.float32))[0].astype(int)
    assert boxed[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 200


def test_letterbox__no_pixels() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        prepare.letterbox(image(0, 10), 32, 32)


@pytest.mark.parametrize(("color", "first"), [("bgr", 1), ("rgb", 3)])
def test_planes__order(color: str, first: int) -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[:] = (1, 2, 3)
    out = prepare.planes(pixels, color)
    assert out.shape == (1, 3, 4, 5)
    assert out.flags.c_contiguous
    assert out[0, 0, 0, 0] == first
    assert out[0, 1, 0, 0] == 2


def test_prepare__normalises_float_inputs_only() -> None:
    spec = Input(height=32, width=32, dtype="float32", mean=(100.0, 0.0, 0.0), scale=(0.5, 1.0, 1.0), color="bgr")
    array, _ = prepare.prepare(image(32, 32), spec)
    assert array.dtype == np.float32
    assert array[0, 0, 0, 0] == 50.0
    whole, _ = prepare.prepare(image(32, 32), Input(height=32, width=32))
    assert whole.dtype == np.uint8
