"""Prototypes: centres of what is known, the mean cosine to them, and the memory of the latest."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from central.learn.tags import generator, prototypes


def test_kmeans__finds_the_groups() -> None:
    torch.manual_seed(0)
    groups = torch.tensor([[5.0, 0.0], [0.0, 5.0], [-5.0, -5.0]])
    points = (groups.repeat_interleave(20, 0)) + 0.1 * torch.randn(60, 2)
    found = prototypes.kmeans(points, 3, generator(0))
    assert (torch.cdist(groups, found).amin(1) < 0.1).all()


def test_kmeans__fewer_points_than_centres_repeat() -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert prototypes.kmeans(points, 5, generator(0)).tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]


def test_of_classes__known_present_cells_alone() -> None:
    features = torch.randn(6, 3, 4)
    labels = torch.tensor([[1.0, -1, 0]] * 6)
    centres, some = prototypes.of_classes(features, labels, 2, generator(0))
    assert some.tolist() == [True, False, False]
    assert not centres[1:].any() and centres[0].any()


def test_nearness__is_the_mean_of_cosines() -> None:
    features, centres = torch.randn(3, 2, 4), torch.randn(2, 5, 4)
    expected = torch.stack([F.cosine_similarity(features, centres[:, k], dim=2) for k in range(5)]).mean(0)
    assert torch.allclose(prototypes.nearness(features, centres), expected, atol=1e-6)


def test_memory__keeps_the_latest() -> None:
    memory = prototypes.Memory(1, 2, 2)
    assert memory.nearness(torch.ones(1, 1, 2)).tolist() == [[0]]
    for value in ([1.0, 0.0], [0.0, 1.0], [0.0, 2.0]):
        memory.add(torch.tensor([[value]]), torch.ones(1, 1))
    assert memory.filled.tolist() == [2]
    assert torch.allclose(memory.nearness(torch.tensor([[[0.0, 3.0]]])), torch.ones(1, 1))
