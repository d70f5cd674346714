"""The losses against the equations, written down once more in NumPy, and against what they must never do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from central.learn.tags import losses
from central.learn.tags.methods.partial_bce import partial_bce

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.fixture
def cells() -> tuple[Array, Array]:
    """Logits ``[6, 4]`` and labels of all three kinds."""
    random = np.random.default_rng(3)
    return random.normal(size=(6, 4)), random.choice([-1.0, 0.0, 1.0], (6, 4))


def torched(*arrays: Array) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def test_masked_bce__is_the_mean_over_known_cells(cells: tuple[Array, Array]) -> None:
    logits, labels = cells
    terms = [np.log1p(np.exp(-y * s)) for s, y in zip(logits.ravel(), labels.ravel(), strict=True) if y != 0]
    assert float(losses.masked_bce(*torched(logits, labels))) == pytest.approx(np.mean(terms))


def test_masked_bce__unknown_cells_give_exactly_nothing(cells: tuple[Array, Array]) -> None:
    logits, labels = torched(*cells)
    garbage = torch.where(labels == 0, torch.full_like(logits, 1e30), logits)
    found = []
    for given in (logits, garbage):
        own = given.clone().requires_grad_()
        loss = losses.masked_bce(own, labels)
        loss.backward()
        assert own.grad is not None and not own.grad[labels == 0].any()
        found.append((loss.detach(), own.grad[labels != 0]))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


def test_masked_bce__nothing_known_is_nothing() -> None:
    assert float(losses.masked_bce(torch.ones(2, 3), torch.zeros(2, 3))) == 0


def test_cooccurrence__is_the_asymmetric_loss_over_all_pairs() -> None:
    random = np.random.default_rng(5)
    labels = random.choice([-1.0, 0.0, 1.0, 1.0], (5, 4))
    logits = random.normal(size=(5, 6)) * 3
    total, place = 0.0, 0
    for i in range(4):
        for j in range(i + 1, 4):
            for b in range(5):
                p = sigmoid(logits[b, place])
                if labels[b, i] == 1 and labels[b, j] == 1:
                    total -= (1 - p) * np.log(p)
                else:
                    shifted = max(p - 0.05, 0)
                    total -= shifted**2 * np.log(1 - shifted)
            place += 1
    assert float(losses.cooccurrence(*torched(logits, labels))) == pytest.approx(total / 30)


def test_cooccurrence__one_tag_has_no_pairs() -> None:
    assert float(losses.cooccurrence(torch.zeros(3, 0), torch.ones(3, 1))) == 0


def all_terms(features: Array, labels: Array) -> tuple[list[float], list[float], list[float]]:
    both, mixed, neither = [], [], []
    for c in range(labels.shape[1]):
        for a in range(len(labels)):
            for b in range(a + 1, len(labels)):
                near = cosine(features[a, c], features[b, c])
                ya, yb = labels[a, c], labels[b, c]
                if ya == 1 and yb == 1:
                    both.append(1 - near)
                elif ya * yb == -1:
                    mixed.append(1 + near)
                elif ya == -1 and yb == -1:
                    neither.append(1 + near)
    return both, mixed, neither


def test_instance_contrast__few_negatives_all_count_with_the_hardest_twice() -> None:
    random = np.random.default_rng(7)
    features, labels = random.normal(size=(7, 2, 5)), np.ones((7, 2))
    labels[0], labels[1, 0], labels[2, 1] = -1, 0, 0
    both, mixed, neither = all_terms(features, labels)
    count = len(both)
    assert 2 * count >= len(mixed) > 0 and not neither
    expected = np.mean(both + mixed + sorted(mixed)[-count:])
    assert float(losses.instance_contrast(*torched(features, labels))) == pytest.approx(expected)


def test_instance_contrast__many_negatives_are_mined() -> None:
    random = np.random.default_rng(8)
    features, labels = random.normal(size=(12, 1, 5)), -np.ones((12, 1))
    labels[:2] = 1
    both, mixed, neither = all_terms(features, labels)
    low = np.mean(both + 2 * [min(mixed)] + [max(mixed)] + 2 * [min(neither)] + [max(neither)])
    high = np.mean(both + 3 * [max(mixed)] + 3 * [max(neither)])
    found = float(losses.instance_contrast(*torched(features, labels), torch.Generator().manual_seed(0)))
    assert low <= found <= high


def test_instance_contrast__without_a_pair_of_present_ones_is_nothing() -> None:
    features = torch.randn(4, 2, 3, requires_grad=True)
    loss = losses.instance_contrast(features, -torch.ones(4, 2))
    loss.backward()
    assert float(loss.detach()) == 0


@pytest.mark.parametrize(
    ("near", "label", "expected"), [(1.0, 1.0, 0.0), (-1.0, 1.0, 2.0), (1.0, -1.0, 2.0), (-1.0, -1.0, 0.0)]
)
def test_prototype_contrast__pulls_present_in_pushes_absent_away(near: float, label: float, expected: float) -> None:
    quantity = torch.full((2, 3), near, requires_grad=True)
    loss = losses.prototype_contrast(quantity, torch.full((2, 3), label))
    loss.backward()
    assert float(loss.detach()) == expected
    assert quantity.grad is not None and bool((quantity.grad * label < 0).all())


def test_prototype_contrast__unknown_cells_and_classes_without_any_do_not_move() -> None:
    quantity = torch.zeros(1, 3, requires_grad=True)
    labels = torch.tensor([[0.0, 1.0, 1.0]])
    losses.prototype_contrast(quantity, labels, torch.tensor([True, False, True])).backward()
    assert quantity.grad is not None and quantity.grad.tolist() == [[0, 0, pytest.approx(-1 / 3)]]


def test_partial_bce__a_tenth_known_counts_five_times() -> None:
    logits, labels = torch.zeros(1, 10), torch.zeros(1, 10)
    labels[0, 3] = 1
    assert float(partial_bce(logits, labels)) == pytest.approx(5.005 * np.log(2) / 10)
    assert float(partial_bce(logits, torch.ones(1, 10))) == pytest.approx(np.log(2))


def test_threshold_loss__is_a_cross_entropy_of_the_smooth_step(cells: tuple[Array, Array]) -> None:
    quantity, labels = sigmoid(cells[0]), cells[1]
    step = sigmoid((quantity - 0.6) / 0.05)
    terms = [-np.log(s if y > 0 else 1 - s) for s, y in zip(step.ravel(), labels.ravel(), strict=True) if y != 0]
    found = losses.threshold_loss(torch.from_numpy(quantity), torch.tensor(0.6), torch.from_numpy(labels), 0.05)
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-5)
