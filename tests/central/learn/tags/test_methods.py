"""Every way to learn: found by its name, learns what can be learned, and does its own thing to unknown cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from central.learn.tags import Material, Stage, find, ways
from central.learn.tags.config import TagsConfig
from central.learn.tags.data import hide
from central.learn.tags.methods.csl import Selective
from central.learn.tags.methods.curriculum import Curriculum
from central.learn.tags.methods.sarb import Blending
from central.learn.tags.methods.sst import threshold
from central.learn.tags.metrics import Labels
from central.learn.tags.network import TagNetwork
from central.learn.tags.train import TagsError, Watch, found_by, through, train
from protocols.slots import SlotError

NAMES = ("car", "bus", "truck")
SMALL = {"width": 16, "attention": 8, "hidden": 8, "epochs": 8, "warm": 2, "refresh": 2, "batch": 16, "rate": 1e-2}
ALL = {
    "assume_negative", "masked_bce", "partial_bce", "curriculum", "sst", "sarb", "asl", "csl", "hst", "hst_intra",
    "hst_inter", "hst_bce",
}  # fmt: skip


def config(method: str, **given: object) -> TagsConfig:
    return TagsConfig(method=method, **{**SMALL, **given})  # type: ignore[arg-type]


def places(count: int, seed: int = 0) -> tuple[np.ndarray, Labels]:
    """Return maps ``[N, 6, 3, 3]`` where a tag that is present lights up its channel in one place, and the labels."""
    random = np.random.default_rng(seed)
    labels = np.where(random.random((count, 3)) < 0.4, 1, -1).astype(np.int8)
    maps = 0.3 * random.standard_normal((count, 6, 9))
    for image, tag in np.argwhere(labels > 0):
        maps[image, tag, random.integers(9)] += 4
    return maps.reshape(count, 6, 3, 3).astype(np.float16), labels


def test_methods__are_those_of_the_papers() -> None:
    assert set(ways()) == ALL
    assert all(method.about for method in ways().values())


def test_find__names_those_that_there_are() -> None:
    with pytest.raises(SlotError, match="masked_bce"):
        find("magic")


@pytest.mark.parametrize("name", sorted(ALL))
def test_train__learns_with_a_third_known(name: str) -> None:
    maps, labels = places(160)
    watched, truth = places(80, seed=1)
    run = train(config(name), maps, hide(labels, 0.35, 0), NAMES, Watch(watched, truth), every=8, truth=labels)
    assert run.history[-1]["map"] > (0.75 if name == "assume_negative" else 0.85)
    assert all(np.isfinite(value) for row in run.history for value in row.values())


def test_train__is_repeatable() -> None:
    maps, labels = places(40)
    found = [through(train(config("hst", epochs=3), maps, hide(labels, 0.5), NAMES).network, maps)[0] for _ in range(2)]
    assert torch.equal(*found)


def test_train__nothing_known() -> None:
    maps, labels = places(10)
    with pytest.raises(TagsError, match="label some first"):
        train(config("hst"), maps, np.zeros_like(labels), NAMES)


def test_hst__pseudo_labels_are_mostly_right() -> None:
    maps, labels = places(200)
    run = train(config("hst", epochs=12), maps, hide(labels, 0.3, 0), NAMES, truth=labels, every=12)
    row = run.history[-1]
    assert row["inter_precision"] > 0.8 > row["prior"] * 1.5 and row["inter_recall"] > 0.1


def test_hst__unknown_cells_are_never_made_absent() -> None:
    learner = find("hst").start(config("hst"), torch.zeros(4, 3))
    labels = torch.tensor([[0.0, 1.0, -1.0]])
    learner.look(2, Material(torch.ones(4, 3), torch.randn(4, 3, 16), torch.zeros(4, 3)))
    for told in learner.pseudo(torch.randn(1, 3, 16), labels).values():
        assert told[0, 1:].tolist() == [1, -1] and told[0, 0] >= 0


def test_found_by__counts_what_was_hidden() -> None:
    class Told(torch.nn.Module):
        def pseudo(self, features: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"a": torch.tensor([[1.0, 1.0, 1.0]])}

    row = found_by(Told(), torch.zeros(0), torch.tensor([[0.0, 0.0, 1.0]]), np.array([[1, -1, 1]], np.int8))  # type: ignore[arg-type]
    assert row == {"prior": 0.5, "a_count": 2.0, "a_precision": 0.5, "a_recall": 1.0}


def test_curriculum__labels_what_is_sure_of_either_sign() -> None:
    labels = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    learner = Curriculum(config("curriculum"), labels)
    learner.look(2, Material(labels, torch.zeros(0), torch.tensor([[3.0, -3.0, 1.0, -9.0]])))
    assert learner.guessed.tolist() == [[1, -1, 0, 1]]
    assert [learner.before(epoch) for epoch in (1, 2, 3, 4)] == [False, True, False, True]


def test_sst__the_threshold_falls_to_its_floor() -> None:
    assert [threshold(epoch, 5) for epoch in (0, 5, 7, 13, 40)] == pytest.approx([0.95, 0.95, 0.9, 0.75, 0.75])


def test_sarb__mixes_known_into_unknown() -> None:
    learner = Blending(config("sarb"), torch.zeros(2, 2))
    features = torch.stack([torch.zeros(2, 3), torch.ones(2, 3)])
    blended, soft, mixed = learner.between_images(features, torch.tensor([[0.0, 0.0], [1.0, -1.0]]))
    assert mixed.tolist() == [[True, False], [False, False]]
    assert blended[0, 0].tolist() == [0.5] * 3 and not blended[0, 1].any() and float(soft[0, 0].detach()) == 0.5


def test_csl__leaves_likely_and_common_ones_out() -> None:
    labels = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    learner = Selective(config("csl"), labels)
    learner.look(2, Material(labels, torch.zeros(0), torch.tensor([[-9.0, -9.0, 9.0, 0.0]])))
    assert learner.prior[2] > 0.5

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.tensor([[2.0, 1.0, 0.5, 0.0]]))

        def forward(self, maps: torch.Tensor) -> torch.nn.Module:
            return self

    network = Fixed()
    stage = Stage(3, 0.0, torch.zeros(1, dtype=torch.long))
    network_like: TagNetwork = network  # type: ignore[assignment]
    learner.losses(network_like, torch.zeros(0), labels, stage)["cells"].backward()
    assert network.logits.grad is not None
    moved = (network.logits.grad != 0).tolist()[0]
    assert moved == [False, True, False, True]
