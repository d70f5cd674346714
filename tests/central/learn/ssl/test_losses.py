"""Losses against numbers: those of lightly 1.5.26 on the same rows, and those that follow from the papers by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.ssl.layers import Queue, distance
from central.learn.ssl.losses import info_nce, masked_error, normalised, nt_xent, patches, self_distillation
from central.learn.ssl.pretexts.dino import temperature, used
from central.learn.ssl.pretexts.simsiam import symmetric


def rows(n: int, d: int, k: int) -> Tensor:
    """Return the k-th of the tensors ``[n, d]`` on which both were computed."""
    number = torch.arange(n * d, dtype=torch.float64).reshape(n, d)
    return torch.sin(number * (1.3 + 0.7 * k) + k) + 0.3 * torch.cos(torch.arange(n)[:, None].double() * 2.1)


@pytest.mark.parametrize(
    ("n", "d", "temperature", "theirs"),
    [(2, 3, 0.5, 1.3679553050626212), (5, 8, 0.1, 6.5748798401507145), (16, 32, 0.2, 4.959914291787128)],
)
def test_nt_xent__as_ntxentloss_of_lightly(n: int, d: int, temperature: float, theirs: float) -> None:
    assert float(nt_xent(rows(n, d, 0), rows(n, d, 1), temperature)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "d", "temperature", "bank", "theirs"),
    [
        (2, 3, 0.5, 4, 2.0253189913192324),
        (5, 8, 0.07, 12, 2.5634688362830915),
        (16, 32, 0.2, 64, 3.861876049497402),
    ],
)
def test_info_nce__as_ntxentloss_with_a_bank(n: int, d: int, temperature: float, bank: int, theirs: float) -> None:
    found = info_nce(rows(n, d, 0), rows(n, d, 1), rows(bank, d, 2), temperature)
    assert float(found) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "d", "theirs"), [(2, 3, -0.1746146686791077), (5, 8, -0.10467494868738826), (16, 32, -0.08525068013057072)]
)
def test_simsiam_and_byol__as_negative_cosine_similarity(n: int, d: int, theirs: float) -> None:
    first, second, ahead, behind = (rows(n, d, k) for k in range(4))
    # The mean of both ways; ours is 2 - 2 cos, as BYOL has it.
    assert float(symmetric(ahead, first, behind, second)) == pytest.approx(2 + 2 * theirs, rel=1e-9)
    byol = (distance(ahead, second).mean() + distance(behind, first).mean()) / 2
    assert float(byol) == pytest.approx(2 + 2 * theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "d", "sharp", "soft", "momentum", "theirs"),
    [
        (2, 3, 0.04, 0.1, 0.9, (2.6578039466766343, 2.6572918861289807)),
        (5, 8, 0.07, 0.1, 0.9, (9.27215768908797, 9.239393621440986)),
        (16, 32, 0.05, 0.2, 0.5, (6.768924906232861, 6.771576340736309)),
    ],
)
def test_dino__as_dinoloss_before_and_after_a_move_of_the_centre(
    n: int, d: int, sharp: float, soft: float, momentum: float, theirs: tuple[float, float]
) -> None:
    wanted, said = [rows(n, d, 0), rows(n, d, 1)], [rows(n, d, 2), rows(n, d, 3)]
    centre = torch.zeros(d, dtype=torch.float64)
    for value in theirs:
        both = [self_distillation(said[i], wanted[1 - i], centre, sharp, soft) for i in (0, 1)]
        assert float(sum(both)) / 2 == pytest.approx(value, rel=1e-6)  # their temperature is a float32
        centre = centre.lerp(torch.cat(wanted).mean(0), 1 - momentum)


def test_moco_v3__by_hand() -> None:
    # Two frames, right angles: the key is found with e / (e + 1) at temperature 1, where the query is its own key.
    eye = torch.eye(2)
    against = ~torch.eye(2, dtype=torch.bool)
    assert float(info_nce(eye, eye, eye, 1.0, against)) == pytest.approx(math.log(1 + math.exp(-1)))
    # Where all look alike, every one of three keys is as good.
    same = torch.ones(3, 4)
    assert float(info_nce(same, same, same, 0.2, ~torch.eye(3, dtype=torch.bool))) == pytest.approx(math.log(3))


def test_nt_xent__views_of_one_frame_do_not_count_against_each_other() -> None:
    first, second = rows(3, 4, 0), rows(3, 4, 1)
    apart = nt_xent(first, second, 0.2, torch.tensor([0, 1, 2]))
    assert torch.equal(apart, nt_xent(first, second, 0.2))
    rows_ = F.normalize(torch.cat((first, second)), dim=1)
    expected = []
    for i in range(6):
        others = [j for j in range(6) if j % 3 not in (i % 3, (0, 2, 1)[i % 3])]  # 1 and 2 are the same frame
        partner = rows_[i] @ rows_[(i + 3) % 6] / 0.2
        every = torch.stack([partner, *(rows_[i] @ rows_[j] / 0.2 for j in others)])
        expected.append(every.logsumexp(0) - partner)
    found = nt_xent(first, second, 0.2, torch.tensor([0, 1, 1]))
    assert float(found) == pytest.approx(float(torch.stack(expected).mean()))


def test_info_nce__no_gradient_into_keys() -> None:
    query, key, other = (rows(3, 4, k).requires_grad_() for k in range(3))
    info_nce(query, key, other, 0.2).backward()  # type: ignore[no-untyped-call]
    assert query.grad is not None and key.grad is None and other.grad is None


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.04), (15, 0.055), (30, 0.07), (90, 0.07)], ids=["start", "half", "risen", "late"]
)
def test_dino__temperature_rises_on_a_line(step: int, expected: float) -> None:
    assert temperature(step, 100, 0.04, 0.07, 0.3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [([[1.0, 0, 0, 0]] * 3, 1), ([[1.0, 0, 0, 0], [0, 1.0, 0, 0]], 2), ([[0.25] * 4], 4)],
    ids=["one", "two", "all"],
)
def test_dino__prototypes_in_use(shares: list[list[float]], expected: float) -> None:
    assert float(used(torch.tensor(shares))) == pytest.approx(expected, rel=1e-4)


def test_patches__in_order_and_normalised() -> None:
    image = torch.arange(2 * 4 * 6, dtype=torch.float32).reshape(1, 2, 4, 6)
    cut = patches(image, 2)
    assert cut.shape == (1, 2, 3, 8)
    assert cut[0, 1, 2].tolist() == image[0, :, 2:4, 4:6].flatten().tolist()
    made = normalised(cut)
    assert made.mean(-1).abs().max() < 1e-5 and (made.var(-1, unbiased=False) - 1).abs().max() < 1e-4
    assert bool((normalised(torch.full((1, 8), 7.0)) == 0).all())


def test_masked_error__only_where_asked() -> None:
    target, predicted = torch.zeros(1, 1, 2, 3), torch.tensor([[[[1.0, 1, 1], [9, 9, 9]]]])
    assert float(masked_error(predicted, target, torch.tensor([[[True, False]]]))) == 1.0
    assert float(masked_error(predicted, target, torch.zeros(1, 1, 2, dtype=torch.bool))) == 0.0


def test_queue__the_newest_replace_the_oldest() -> None:
    queue = Queue(5, 2)
    for start in (0, 3):
        queue.push(torch.full((3, 2), float(start)), torch.arange(start, start + 3))
    assert queue.frames.tolist() == [5, 1, 2, 3, 4]
    queue.push(torch.ones(7, 2), torch.arange(10, 17))
    assert sorted(queue.frames.tolist()) == [12, 13, 14, 15, 16]
