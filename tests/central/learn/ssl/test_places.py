"""Which places of two views belong together, against the plain geometry and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from central.learn.ssl.pretexts.dense import partners
from central.learn.ssl.pretexts.pixpro import PixPro, agreement, near, places
from tests.central.learn.ssl.worlds import World, batch


def where(found: Tensor, column: int, row: int) -> tuple[tuple[float, float], float]:
    """Return where in the frame the cell at `column` and `row` (stride 16) of a view lies, and its diagonal, by
    solving for its corners."""
    (a, b, c), (d, e, f) = found.double().tolist()
    corners = []
    for x, y in ((column, row), (column + 1, row), (column, row + 1)):
        u, v, det = x * 16 - c, y * 16 - f, a * e - b * d
        corners.append(((e * u - b * v) / det, (a * v - d * u) / det))
    (x0, y0), (x1, y1), (x2, y2) = corners
    return ((x1 + x2) / 2, (y1 + y2) / 2), math.hypot(x1 - x0, y1 - y0, x2 - x0, y2 - y0)


def test_near__as_by_brute_force() -> None:
    seen, turned = batch(3), torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    assert seen.first_map is not None and seen.second_map is not None
    second = seen.second_map.clone()
    second[2] = turned @ second[2]  # also a view that was turned
    pairs = near(seen.first_map, second, 4, 4, 16, 0.7)
    assert pairs.shape == (3, 16, 16) and 0 < int(pairs.sum()) < pairs.numel()
    for image in range(3):
        for i in range(16):
            for j in range(16):
                a, wide = where(seen.first_map[image], i % 4, i // 4)
                b, tall = where(second[image], j % 4, j // 4)
                close = math.dist(a, b) / max(wide, tall)
                if abs(close - 0.7) > 1e-4:
                    assert bool(pairs[image, i, j]) == (close < 0.7), (image, i, j)


def test_near__the_same_view_is_near_itself_and_its_mirror_at_the_other_end() -> None:
    whole = torch.tensor([[[64.0, 0, 0], [0, 64, 0]]])
    mirror = torch.tensor([[[-64.0, 0, 64], [0, 64, 0]]])
    # Neighbours are 1 apart at a diagonal of 1.41: just over 0.7.
    assert torch.equal(near(whole, whole, 4, 4, 16, 0.7)[0], torch.eye(16, dtype=torch.bool))
    expected = torch.eye(16, dtype=torch.bool).reshape(4, 4, 4, 4).flip(3).reshape(16, 16)
    assert torch.equal(near(whole, mirror, 4, 4, 16, 0.7)[0], expected)


def test_near__nothing_in_views_apart() -> None:
    left, right = torch.tensor([[[128.0, 0, 0], [0, 64, 0]]]), torch.tensor([[[128.0, 0, -64], [0, 64, 0]]])
    assert not near(left, right - torch.tensor([[[0.0, 0, 64], [0, 0, 0]]]), 4, 4, 16, 0.7).any()


def test_places__in_shares_of_the_frame() -> None:
    centres, diagonal = places(torch.tensor([[[200.0, 0, -50], [0, 100, 0]]]), 2, 4, 16)
    assert centres[0, 0].tolist() == pytest.approx([(8 + 50) / 200, 8 / 100])
    assert centres[0, 5].tolist() == pytest.approx([(24 + 50) / 200, 24 / 100])
    assert float(diagonal[0]) == pytest.approx(math.hypot(16 / 200, 16 / 100))


def test_agreement__by_hand() -> None:
    mine = torch.tensor([[[1.0, 0], [0, 2]], [[1, 0], [0, 1]]])
    other = torch.tensor([[[1.0, 0], [1, 1]], [[1, 0], [0, 1]]])
    pairs = torch.tensor([[[True, False], [False, True]], [[False, False], [False, False]]])
    expected = 2 - 2 * (1 + math.sqrt(0.5)) / 2  # the second image has no pair, and does not count
    assert float(agreement(mine, other, pairs)) == pytest.approx(expected, abs=1e-6)
    assert float(agreement(mine, other, torch.zeros_like(pairs))) == 0.0


def test_smooth__takes_from_places_that_are_alike() -> None:
    world = World("pixpro", {"out": 8, "sharpness": 2.0})
    assert isinstance(world.pretext, PixPro)
    with torch.no_grad():
        world.pretext.transform.weight.copy_(torch.eye(8)[:, :, None, None])
        assert world.pretext.transform.bias is not None
        world.pretext.transform.bias.zero_()
        cells = torch.zeros(1, 8, 1, 3)
        cells[0, 0, 0, 0], cells[0, 1, 0, 1] = 1.0, 2.0
        cells[0, :2, 0, 2] = torch.tensor([-3.0, 3.0])  # at 45 degrees to the second, away from the first
        found = world.pretext.smooth(cells)[0, :, :2]
    assert torch.allclose(found[0], torch.tensor([1.0, 0]))  # a cosine below 0 counts as 0
    assert torch.allclose(found[1], torch.tensor([0.0, 2]) + 0.5 * torch.tensor([-3.0, 3]), atol=1e-5)


def test_partners__by_hand() -> None:
    mine = torch.tensor([[[1.0, 0], [0, 5], [1, 1]]])
    other = torch.tensor([[[0.0, 1], [3, 3], [9, 1]]])
    assert partners(mine, other).tolist() == [[2, 0, 1]]  # by angle, whatever the length
