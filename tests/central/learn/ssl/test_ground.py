"""The order of depth from boxes on the ground, against streets whose depth is known."""

from __future__ import annotations

import numpy as np
import pytest

from central.learn.ssl.geometry import ground

HORIZON, MAST, FOCAL = 80.0, 6.0, 500.0


def standing(depths: np.ndarray, tall: np.ndarray) -> np.ndarray:
    """Return boxes ``[N, 4]`` of things `tall` metres on the ground at `depths`, before a camera 6 m up."""
    foot = HORIZON + FOCAL * MAST / depths
    top = HORIZON + FOCAL * (MAST - tall) / depths
    return np.stack((np.full_like(foot, 100), top, np.full_like(foot, 120), foot), 1)


def crowd(seed: int, count: int = 40, noise: float = 0.05, wrong: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes, labels (people and lorries) and depths; the first `wrong` boxes are nonsense."""
    random = np.random.default_rng(seed)
    depths, labels = random.uniform(12, 80, count), random.integers(0, 2, count)
    boxes = standing(depths, np.where(labels == 0, 1.7, 3.2) * random.normal(1, noise, count))
    boxes[:wrong, 1] = boxes[:wrong, 3] - random.uniform(2, 200, wrong)
    return boxes, labels, depths


@pytest.mark.parametrize("seed", range(4))
def test_fit__horizon_and_depth(seed: int) -> None:
    boxes, labels, depths = crowd(seed)
    found = ground.fit(boxes, labels)
    assert found is not None and abs(found.horizon - HORIZON) < 12
    near = found.nearness(boxes[:, 3])
    assert np.corrcoef(near, 1 / depths)[0, 1] > 0.999
    assert found.fits(boxes, labels)[6:].all()


def test_fits__nonsense_is_left_out() -> None:
    boxes, labels, _ = crowd(0)
    found = ground.fit(boxes, labels)
    assert found is not None
    odd = boxes[10:12].copy()
    odd[0, 1] = odd[0, 3] - 4 * (boxes[10, 3] - boxes[10, 1])
    odd[1, 1] = odd[1, 3] - 0.2 * (boxes[11, 3] - boxes[11, 1])
    assert not found.fits(odd, labels[10:12]).any()


@pytest.mark.parametrize("boxes", [np.zeros((3, 4)), np.tile([0.0, 10, 5, 40], (20, 1))], ids=["few", "in a row"])
def test_fit__none(boxes: np.ndarray) -> None:
    assert ground.fit(boxes) is None


def test_nearer__feet_and_the_bottom_edge() -> None:
    boxes = np.array([[0, 10, 5, 50], [0, 10, 5, 53], [0, 10, 5, 90], [0, 10, 5, 100], [0, 60, 5, 100.0]])
    found = ground.nearer(boxes, 5, bottom=99)
    assert found[2, 0] and found[3, 2] and found[4, 0]
    assert not found[1, 0] and not found[0, 1]
    assert not found[3, 4] and not found[4, 3]


def test_occluding__the_one_that_loses_height_is_behind() -> None:
    time = np.arange(10.0)
    front = np.stack((time * 10, np.full(10, 50.0), time * 10 + 20, np.full(10, 100.0)), 1)
    behind = np.tile([50.0, 40, 70, 80], (10, 1))
    over = (front[:, 2] > 50) & (front[:, 0] < 70)
    behind[over, 3] = 52  # its lower part is hidden
    assert ground.occluding(front, behind) == 0
    assert ground.occluding(behind, front) == 1
    assert ground.occluding(front[:3], behind[:3]) == -1
