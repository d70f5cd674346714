"""Rounding a network to what a delta carries, with what frames tell of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from central.learn.models import ModelConfig, build
from central.learn.models.network import Network
from central.learn.rounding import round_network, sense
from protocols.delta import grid
from tests.central.learn.tiny import scramble

LABELS = ("square", "disc")
CONFIG = ModelConfig(size="tiny", labels=LABELS, tags=LABELS, height=64, width=64, top_k=20, embedding=16)
RANDOM = np.random.default_rng(4)
FRAMES = [RANDOM.integers(0, 256, (1, 3, 64, 64)).astype(np.uint8) for _ in range(4)]


@pytest.fixture
def parent() -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in scramble(build(CONFIG)).state_dict().items()}


@pytest.fixture
def trained(parent: dict[str, torch.Tensor]) -> Network:
    """The network of `parent` after it learned a little of everything."""
    network = build(CONFIG)
    torch.manual_seed(1)
    moved = {n: v + torch.randn_like(v) * 0.02 if v.is_floating_point() else v + 3 for n, v in parent.items()}
    network.load_state_dict({n: v.abs() if n.endswith("running_var") else v for n, v in moved.items()})
    return network.eval()


def logits(network: Network) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network.raw(torch.from_numpy(frame)).logits for frame in FRAMES])


def test_round_network__every_change_is_on_the_grid(parent: dict[str, torch.Tensor], trained: Network) -> None:
    round_network(trained, parent, FRAMES)
    for name, value in trained.state_dict().items():
        if value.is_floating_point():
            old, new = (np.ascontiguousarray(grid.rows(v.numpy())) for v in (parent[name], value))
            assert grid.recover(old, new) is not None, name
        else:
            assert int(value) == int(parent[name]) + 3


def test_round_network__frames_make_outputs_nearer(parent: dict[str, torch.Tensor], trained: Network) -> None:
    dense = {name: value.clone() for name, value in trained.state_dict().items()}
    wanted, lost = logits(trained), []
    for frames in ([], FRAMES):
        trained.load_state_dict(dense)
        round_network(trained, parent, frames, 1.0)
        lost.append(float((logits(trained) - wanted).square().mean()))
    assert lost[1] < 0.7 * lost[0]


def test_round_network__memory_format_does_not_matter(parent: dict[str, torch.Tensor], trained: Network) -> None:
    twin = build(CONFIG)
    twin.load_state_dict(trained.state_dict())
    twin.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for network in (trained, twin):
        round_network(network, parent, [])
    assert all(
        torch.equal(a, b) for a, b in zip(trained.state_dict().values(), twin.state_dict().values(), strict=True)
    )


def test_sense__leaves_the_network_as_it_was(trained: Network) -> None:
    frozen = next(trained.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    found = sense(trained, FRAMES[:2])
    assert not frozen.requires_grad and all(p.grad is None for p in trained.parameters())
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    matrices = {name for name, value in trained.named_parameters() if value.ndim > 1}
    assert found.gains.keys() == matrices and min(found.gains.values()) > 0
    assert found.moments.keys() == matrices


def test_sense__moments_are_those_of_the_inputs(trained: Network) -> None:
    layer = trained.backbone.stages[0][0].conv
    moments = sense(trained, FRAMES[:1]).moments["backbone.stages.0.0.conv.weight"]
    width = layer.weight[0].numel()
    assert moments.shape == (1, width, width)
    assert np.all(np.linalg.eigvalsh(moments[0]) > -1e-6)


def test_sense__depthwise_convolutions_have_moments_by_channel(trained: Network) -> None:
    grouped = {n: m for n, m in trained.named_modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1}
    found = sense(trained, FRAMES[:1]).moments
    name, layer = next(iter(grouped.items()))
    assert found[f"{name}.weight"].shape == (layer.groups, layer.weight[0].numel(), layer.weight[0].numel())


def test_sense__same_seed_same_answer(trained: Network) -> None:
    first, second = (sense(trained, FRAMES, seed=3) for _ in range(2))
    assert first.gains == second.gains


def test_sense__no_frames_know_nothing(trained: Network) -> None:
    assert not sense(trained, []).moments
