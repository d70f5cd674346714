"""The tag head of semantic transfer in packs: parity, updates, and rounds that learn the tags of classes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from central.learn.detect.loss import shared
from central.learn.models import ModelConfig, Network, build
from central.learn.models.config import Semantic
from central.learn.rounding import round_network
from central.learn.start import network_from
from export.build import Ingredients, noise_frames
from export.build import build as build_pack
from export.run import lean
from protocols.pack import Pack


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    size = Semantic(width=16, attention=8)
    made = build(ModelConfig(size="tiny", labels=("car",), tags=("car", "rain"), height=64, width=64, semantic=size))
    made.tags.graph.adjacency.copy_(torch.tensor([[1.0, 0.3], [0.7, 1.0]]))  # type: ignore[union-attr, operator]
    return made.eval()


def packed(network: Network, folder: Path) -> Pack:
    config = network.config
    about = Ingredients(
        name="t", size=config.size, labels=config.labels, tags=config.tags, config=msgspec.to_builtins(config),
        height=64, width=64,
    )  # fmt: skip
    return build_pack(network, about, folder, noise_frames(1, 64, 64))


def test_pack__gives_the_network_back_bit_by_bit(network: Network, tmp_path: Path) -> None:
    again = network_from(packed(network, tmp_path / "p"), ("car",))
    for name, tensor in network.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(again.state_dict()[name], tensor), name


def test_round_network__rounds_its_update(network: Network) -> None:
    parent = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        for parameter in network.tags.parameters():  # type: ignore[union-attr]
            parameter.add_(0.01 * torch.randn_like(parameter))
    moved = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    round_network(network, parent, noise_frames(1, 64, 64))
    found = network.state_dict()
    assert torch.equal(found["tags.graph.adjacency"], parent["tags.graph.adjacency"])
    gap = float((found["tags.query"] - moved["tags.query"]).abs().mean())
    assert 0 < gap < 0.01
    assert np.isfinite(float(found["tags.classes"].sum()))


def test_shared__classes_by_their_names() -> None:
    assert shared(("car", "bus", "cat"), ("bus", "rain", "car")) == ([0, 1], [2, 0])


def test_lean__a_pack_without_tags(network: Network) -> None:
    config = lean(msgspec.to_builtins(network.config), ["tags"])
    assert build(msgspec.convert(config, ModelConfig)).tags is None
