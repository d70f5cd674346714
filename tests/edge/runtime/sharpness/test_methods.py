"""The measures of the literature: known values, and what each of them must see."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.runtime.prepare import Image
from edge.runtime.sharpness import crete, edges, methods
from edge.street.camera import Street

CRETE = (0.467367, 0.575822)
"""What scikit-image gives of a pattern, sharp and blurred."""
NAMES = {"cpbd", "crete", "detail", "jnb", "laplacian", "laplacian-normalised", "lpc-si", "tenengrad"}


def scene() -> Image:
    return Street(3, 480, 270).render(0)[0]


def test_methods__are_all_there() -> None:
    assert set(methods()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_methods__a_blurred_picture_is_less_sharp(name: str, sigma: float) -> None:
    image, method = scene(), methods()[name]
    before = image.copy()
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    assert method.score(image) > method.score(blurred)
    assert (image == before).all(), "the picture stays as it is"


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("shape", [(40, 50, 3), (40, 50), (9, 300, 3), (700, 900, 3)])
def test_methods__take_any_picture(name: str, shape: tuple[int, ...]) -> None:
    for image in (np.zeros(shape, np.uint8), np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)):
        assert np.isfinite(methods()[name].score(image))


def test_crete__known_values() -> None:
    y, x = np.mgrid[0:96, 0:128]
    pattern = ((x * 7 + y * 3) % 61 * 4).astype(np.uint8)
    soft = cv2.GaussianBlur(pattern, (9, 9), 2.0, borderType=cv2.BORDER_REFLECT)
    assert crete.blur(pattern) == pytest.approx(CRETE[0], abs=1e-5)
    assert crete.blur(np.asarray(soft, np.uint8)) == pytest.approx(CRETE[1], abs=1e-5)


def test_crete__agrees_with_scikit_image() -> None:
    measure = pytest.importorskip("skimage.measure")
    for sigma in (0.6, 1.5, 3.0):
        grey = cv2.cvtColor(np.asarray(cv2.GaussianBlur(scene(), (0, 0), sigma), np.uint8), cv2.COLOR_BGR2GRAY)
        assert crete.blur(np.asarray(grey, np.uint8)) == pytest.approx(float(measure.blur_effect(grey)), abs=1e-4)


def test_widths__of_a_ramp() -> None:
    row = np.array([0, 0, 10, 20, 30, 30, 30, 5, 5], np.float32)
    assert edges.widths(row[None])[0].tolist()[1:4] == [3, 3, 3]
    assert edges.widths(row[None])[0].tolist()[6] == 1
