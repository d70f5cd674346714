"""Masked reconstruction: what is hidden reaches nothing, and the rest goes as through the backbone itself."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from central.learn.models.backbone import Backbone
from central.learn.models.config import SIZES
from central.learn.ssl import sparse
from central.learn.ssl.pretexts.masked import CELL, Masked
from tests.central.learn.ssl.worlds import World, batch, frames


def hidden(count: int, cells: int = 3) -> Tensor:
    """Return a mask ``[count, 1, cells, cells]`` with more than half of it hidden."""
    return sparse.draw(count, cells, cells, 0.6, torch.Generator().manual_seed(1))


def two_images(visible: Tensor) -> tuple[Tensor, Tensor]:
    """Return images, and others that differ from them wherever they are hidden."""
    first, other = frames(len(visible), 96).float(), frames(len(visible), 96, seed=9).float()
    return first, torch.where(sparse.fitted(visible, first).bool(), first, other)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", ["tiny", "medium"])
def test_features__hidden_pixels_change_nothing(size: str, training: bool) -> None:
    torch.manual_seed(0)
    backbone, visible = Backbone(SIZES[size]).train(training), hidden(2)
    first, other = two_images(visible)
    found = [sparse.features(copy.deepcopy(backbone), x / 64, visible) for x in (first, other)]
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
        assert bool((a * (1 - sparse.fitted(visible, a)) == 0).all()) and bool(a.abs().sum() > 0)


def test_dense__hidden_places_change_what_is_seen() -> None:
    # The twin: with dense masking the holes spread, so features of visible cells differ from the sparse ones.
    visible, found = hidden(2), []
    images = two_images(visible)[0]
    for dense in (False, True):
        world = World("masked", {"dense": dense}, side=96)
        assert isinstance(world.pretext, Masked)
        found.append(world.pretext.encode(world.trunk, images, visible))
    assert all(not torch.allclose(a, b, atol=1e-3) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", ["tiny", "nano", "small", "medium"])
def test_features__of_all_that_is_visible_are_those_of_the_backbone(size: str, training: bool) -> None:
    torch.manual_seed(0)
    plain = Backbone(SIZES[size]).train(training)
    masked = copy.deepcopy(plain)
    images = frames(2, 96).float() / 64 - 1
    wanted, found = plain(images), sparse.features(masked, images, torch.ones(2, 1, 3, 3, dtype=torch.bool))
    for a, b in zip(wanted, found, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    state = masked.state_dict()
    for name, value in plain.state_dict().items():
        assert torch.allclose(value.float(), state[name].float(), atol=1e-4), name


def test_norm__statistics_of_visible_places_alone() -> None:
    layer, x = nn.BatchNorm2d(2, momentum=1.0), torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 1, 4, 4)
    mask[:, :, :2] = 1
    out = sparse.norm(layer, x, mask)
    seen = x[:, :, :2].transpose(0, 1).flatten(1)
    assert layer.running_mean is not None and layer.running_var is not None
    assert torch.allclose(layer.running_mean, seen.mean(1), atol=1e-6)
    assert torch.allclose(layer.running_var, seen.var(1), atol=1e-6)
    assert bool((out[:, :, 2:] == 0).all())
    assert torch.allclose(out[:, :, :2].transpose(0, 1).flatten(1).var(1, unbiased=False), torch.ones(2), atol=1e-3)


@pytest.mark.parametrize(
    ("cells", "share", "visible"), [((8, 8), 0.6, 26), ((2, 2), 0.6, 2), ((1, 2), 0.9, 1), ((2, 2), 0.01, 3)]
)
def test_draw__as_many_as_asked_and_never_all_or_none(cells: tuple[int, int], share: float, visible: int) -> None:
    mask = sparse.draw(5, *cells, share, torch.Generator().manual_seed(0))
    assert mask.sum((1, 2, 3)).tolist() == [visible] * 5
    if cells == (8, 8):
        assert len({tuple(row.flatten().tolist()) for row in mask}) == 5


def test_error__counts_hidden_cells_and_is_one_for_the_mean_colour() -> None:
    world, visible = World("masked", side=96), hidden(2)
    assert isinstance(world.pretext, Masked)
    nn.init.zeros_(world.pretext.decoder.out.weight)
    assert world.pretext.decoder.out.bias is not None
    nn.init.zeros_(world.pretext.decoder.out.bias)
    images = two_images(visible)[0]
    flat = torch.where(sparse.fitted(visible, images).bool(), 77.0, images)  # in which nothing is to be drawn
    for shown in (images, flat):
        error = world.pretext.error(world.trunk, shown, visible)
        assert float(error.detach()) == pytest.approx(1.0, abs=1e-3)


def test_loss__draws_anew_each_step_and_the_same_when_resumed() -> None:
    world, seen = World("masked"), batch()
    losses = [float(world.pretext.loss(world.scene(seen, s), None).detach()) for s in (1, 2, 1)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[2])
    assert CELL == 32
