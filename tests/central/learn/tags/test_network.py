"""The network against its equations, its folded form, and its tags as they come and go."""

from __future__ import annotations

import msgspec
import pytest
import torch

from central.learn.models import ModelConfig, build
from central.learn.models.config import Semantic
from central.learn.models.semantic import GatedGraph
from central.learn.start import fitted
from central.learn.tags.losses import pairs
from central.learn.tags.network import PairHead, TagNetwork, from_neighbours, statistics


@pytest.fixture
def network() -> TagNetwork:
    torch.manual_seed(0)
    made = TagNetwork(6, 3, 8, 5, torch.randn(3, 10), 4)
    made.head.graph.adjacency.copy_(torch.tensor([[1.0, 0.5, 0.0], [0.2, 1.0, 0.1], [0.0, 0.3, 1.0]]))
    return made.eval()


def test_fold__gives_the_same_logits(network: TagNetwork) -> None:
    maps = torch.randn(4, 6, 3, 5)
    with torch.no_grad():
        expected = network(maps).logits
        assert torch.allclose(network.fold()(maps), expected, atol=1e-6)


def test_look__attends_as_the_equations_say(network: TagNetwork) -> None:
    maps = torch.randn(1, 6, 2, 2)
    with torch.no_grad():
        x = network.head.project(maps)[0].flatten(1)  # [D, R]
        for c in range(3):
            w = network.from_words(network.words[c])
            h = torch.tanh((network.head.key.weight[:, :, 0, 0] @ x) * w[:, None])  # [d, R]
            a = network.weigh(network.mix(h.t())).squeeze(1)
            expected = (a.softmax(0) * x).sum(1)
            assert torch.allclose(network.look(maps)[0, c], expected, atol=1e-6)


def test_gated_graph__steps_as_the_equations_say() -> None:
    torch.manual_seed(1)
    graph, width, tags = GatedGraph(4, 3, steps=2), 4, 3
    graph.adjacency.copy_(torch.rand(tags, tags))
    state = torch.randn(2, width, tags)
    wz, wr, wh = graph.told.weight[:, :, 0].chunk(3)
    bz, br, bh = graph.told.bias.chunk(3)  # type: ignore[union-attr]
    uz, ur = graph.own.weight[:, :, 0].chunk(2)
    uh, a = graph.kept.weight[:, :, 0], graph.adjacency
    with torch.no_grad():
        expected = state.clone()
        for _ in range(2):
            new = torch.empty_like(expected)
            for b in range(2):
                h = expected[b].t()  # [T, D]
                told = torch.cat((a @ h, a.t() @ h), 1)
                z, r = torch.sigmoid(told @ wz.t() + bz + h @ uz.t()), torch.sigmoid(told @ wr.t() + br + h @ ur.t())
                candidate = torch.tanh(told @ wh.t() + bh + (r * h) @ uh.t())
                new[b] = ((1 - z) * h + z * candidate).t()
            expected = new
        assert torch.allclose(graph(state), expected, atol=1e-6)


def test_pair_head__is_the_two_layers_on_each_pair() -> None:
    torch.manual_seed(2)
    head, features = PairHead(4, 6, 5), torch.randn(3, 4, 6)
    with torch.no_grad():
        g = head.reduce(features)
        weight = torch.cat((head.first.weight, head.second.weight), 1)
        for place, (i, j) in enumerate(zip(*(index.tolist() for index in pairs(4)), strict=True)):
            u = torch.cat((g[:, i], g[:, j]), 1)
            inner = head.inner(torch.relu(u @ weight.t() + head.first.bias))
            assert torch.allclose(head(features)[:, place], inner @ head.pair[place] + head.bias[place], atol=1e-5)


def test_matrix__is_symmetric_with_ones() -> None:
    found = PairHead(3, 4, 4).matrix(torch.tensor([[0.0, 2.0, -2.0]]))[0]
    assert torch.equal(found, found.t()) and found.diagonal().tolist() == [1, 1, 1]
    assert found[0, 2] == pytest.approx(float(torch.tensor(2.0).sigmoid()))


def test_from_neighbours__is_the_mean_over_known_present_tags() -> None:
    matrix = torch.tensor([[[1.0, 0.4, 0.8], [0.4, 1.0, 0.6], [0.8, 0.6, 1.0]]])
    assert from_neighbours(matrix, torch.tensor([[1.0, 1.0, 0.0]]))[0, 2] == pytest.approx(0.7)
    assert from_neighbours(matrix, torch.tensor([[-1.0, 0.0, 0.0]])).tolist() == [[0, 0, 0]]


def test_statistics__counts_known_pairs_and_has_no_nan() -> None:
    labels = torch.tensor([[1.0, 1, 0], [1, -1, 0], [0, 1, -1]])
    assert statistics(labels).tolist() == [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]


def test_words__learned_where_there_are_none() -> None:
    network = TagNetwork(6, 3, 8, 5, None, 4)
    network(torch.randn(2, 6, 3, 3)).logits.sum().backward()
    assert isinstance(network.words, torch.nn.Parameter) and network.words.grad is not None


def test_fitted__tags_keep_their_rows_and_pairs_when_others_come_and_go() -> None:
    torch.manual_seed(3)
    config = ModelConfig(
        size="tiny", labels=("a",), tags=("a", "rain", "fog"), height=64, width=64, embedding=8,
        semantic=Semantic(width=8, attention=4),
    )  # fmt: skip
    network = build(config).eval()
    network.tags.graph.adjacency.copy_(torch.arange(9.0).reshape(3, 3))  # type: ignore[union-attr, operator]
    from central.learn.families import of
    from central.learn.start import _grown

    weights = dict(network.state_dict())
    grown = _grown(config, weights, ("a", "b"), ("a", "fog", "snow"))
    assert grown.tags.graph.adjacency.tolist() == [[0, 2, 0], [6, 8, 0], [0, 0, 0]]
    assert torch.equal(grown.tags.query[1], network.tags.query[2])  # type: ignore[union-attr, index]
    assert of(grown.config).rows("tags.project.conv.weight") is None
    same = fitted(network, ("a",))
    image = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(same(image)["tags"], network(image)["tags"])


def test_config__survives_json() -> None:
    config = ModelConfig(labels=("a",), tags=("a",), semantic=Semantic(width=64, attention=32))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(config)), ModelConfig) == config
