"""The loop: resumed to the bit, watched, ended with an embedding; and what comes after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from central.learn.models.config import ModelConfig
from central.learn.models.heads import EmbeddingHead
from central.learn.models.network import Network
from central.learn.ssl import Scene, Trunk, members, packing, settle
from central.learn.ssl.boxes import Boxes
from central.learn.ssl.learner import Learner, follow, teacher_of
from central.learn.ssl.material import Stock
from central.learn.ssl.stream import Stream, collate
from central.learn.ssl.train import Run, SslError
from central.learn.ssl.watch import Watch, effective_rank, spread
from central.learn.start import read_pack, weights_from
from edge.runtime import packs
from export import checkpoint
from tests.central.learn.ssl import streets


@pytest.fixture
def street(tmp_path: Path) -> tuple[Stock, Boxes]:
    stock = streets.stock(tmp_path / "street")
    return stock, streets.boxed(stock)


class KilledError(Exception):
    """What a kill looks like from inside."""


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / "last.safetensors")[0]


@pytest.mark.parametrize(
    "pretexts",
    [{"byol": 1.0, "objects": 1.0, "locate": 0.5}, {"moco": 1.0, "masked": 0.5}],
    ids=["image and object", "others"],
)
def test_run__killed_and_resumed_is_the_same_to_the_bit(
    tmp_path: Path, street: tuple[Stock, Boxes], pretexts: dict[str, float]
) -> None:
    options = {k: v for k, v in streets.config().options.items() if k in pretexts}
    config = streets.config(pretexts=pretexts, options=options)
    Run(config, *street, tmp_path / "whole").run()

    def kill(row: dict[str, Any]) -> None:
        if row.get("step") == 4:
            raise KilledError

    with pytest.raises(KilledError):
        Run(config, *street, tmp_path / "killed").run(kill)
    resumed = Run(config, *street, tmp_path / "killed")
    assert resumed.step == 3
    resumed.run()
    whole, killed = stored(tmp_path / "whole"), stored(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert [k for k in whole if not torch.equal(whole[k], killed[k])] == []


def test_run__other_settings_are_refused(tmp_path: Path, street: tuple[Stock, Boxes]) -> None:
    Run(streets.config(), *street, tmp_path / "run").save()
    with pytest.raises(SslError, match="other settings"):
        Run(streets.config(rate=0.5), *street, tmp_path / "run")


def test_run__leaves_what_the_next_step_starts_from(tmp_path: Path, street: tuple[Stock, Boxes]) -> None:
    result = Run(streets.config(), *street, tmp_path).run()
    for name in ("config.json", "metrics.jsonl", "curves.png", "embedding.png", "result.json"):
        assert (tmp_path / name).stat().st_size > 0
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6] and {"spread.byol", "rank", "images_per_s"} <= rows[-1].keys()
    detector = Network(ModelConfig(size="tiny", labels=("car",), height=64, width=64, embedding=16))
    left = checkpoint.load_into(detector, weights_from(str(tmp_path), ("car",)), strict=False)
    assert left and not any(name.startswith(("backbone.", "neck.", "embedding.")) for name in left)
    trunk = result.trunk.state_dict()
    assert all(torch.equal(value, trunk[name]) for name, value in detector.state_dict().items() if name in trunk)
    assert result.numbers["near_identical"] + result.numbers["kept"] == 32


def test_run__start_from_other_sizes_is_refused(tmp_path: Path, street: tuple[Stock, Boxes]) -> None:
    with pytest.raises(SslError, match="none of the weights"):
        Run(streets.config(), *street, tmp_path, start={"backbone.x": torch.zeros(3)})


def test_teacher__follows_and_has_the_students_buffers() -> None:
    student = Learner(streets.config())
    teacher = teacher_of(student)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 1
    before = {n: p.clone() for n, p in teacher.named_parameters()}
    follow(teacher, student, 0.9)
    for name, parameter in teacher.named_parameters():
        assert torch.allclose(parameter, before[name] + 0.1, atol=1e-6) and not parameter.requires_grad


def test_momentum_and_rate__over_a_run() -> None:
    config = streets.config(steps=1000, momentum=0.99)
    assert config.momentum_at(0) == pytest.approx(0.99) and config.momentum_at(1000) == pytest.approx(1.0)
    assert config.rate_at(49) == pytest.approx(1.0) and config.rate_at(0) == pytest.approx(0.02)
    assert config.rate_at(999) < 1e-4


def test_watch__tells_collapse_from_life() -> None:
    torch.manual_seed(0)
    assert spread(torch.randn(512, 32)) == pytest.approx(1.0, abs=0.1)
    assert spread(torch.ones(64, 32) + 0.01 * torch.randn(64, 32)) < 0.1
    assert effective_rank(torch.randn(512, 8)) > 7
    assert effective_rank(torch.randn(512, 1) * torch.ones(1, 8)) < 1.1
    watch = Watch(Learner(streets.config()))
    row = {"step": 9, "spread.byol": 0.2, "rank": 2.0}
    assert len(watch.warnings(row)) == 2 and not watch.warnings(row)


def test_settle__norms_have_the_statistics_of_the_frames() -> None:
    torch.manual_seed(0)
    trunk = Trunk(streets.config().model)
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 255, (3, 64, 64)).astype(np.uint8) for _ in range(64)]
    settle.settle_norms(trunk, pixels)
    norm = next(m for m in trunk.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.running_mean is not None and bool((norm.running_mean != 0).any()) and norm.momentum == 0.1


def test_embedding__likeness_is_that_of_distances() -> None:
    torch.manual_seed(3)
    points = torch.randn(400, 12) * torch.linspace(4, 0.2, 12) + 5
    head = EmbeddingHead(12, 16)
    settle.fit_embedding(head, points, shrink=0.0)
    with torch.no_grad():
        said = head(points[:, :, None, None])
    assert float((said @ said.T).mean()) == pytest.approx(0.5, abs=0.05)
    near = points.mean(0) + torch.tensor([[0.1], [-0.1]])  # on both sides of the mean of all: alike
    with torch.no_grad():
        pair = head(near[:, :, None, None])
    assert float(pair[0] @ pair[1]) > 0.9


def test_embedding__bits_survive_a_pack(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trunk = Trunk(streets.config().model).eval()
    frames = [streets.frame(i % 2, i) for i in range(12)]
    pixels = settle.inputs(frames, 64, 64)
    settle.fit_embedding(trunk.embedding, settle.means(trunk.backbone, pixels))
    packing.alone(trunk, tmp_path / "ssl.wpack", "ssl", pixels)
    pack = packs.find(str(tmp_path / "ssl.wpack"), tmp_path / "opened")
    again = Trunk(trunk.config)
    checkpoint.load_into(again, read_pack(pack)[1])
    assert torch.equal(packing.embedded(trunk, pixels), packing.embedded(again.eval(), pixels))


def test_taught__the_head_of_another_network_says_the_same() -> None:
    torch.manual_seed(2)
    points = torch.randn(200, 64)
    wanted = torch.nn.functional.normalize(points @ torch.randn(64, 16), dim=1)
    network = Network(ModelConfig(size="tiny", labels=("car",), height=64, width=64, embedding=16))
    packing.taught(network, points, wanted)
    assert isinstance(network.embedding, EmbeddingHead)
    with torch.no_grad():
        said = network.embedding(points[:, :, None, None])
    assert float((said * wanted).sum(1).mean()) > 0.95
    with pytest.raises(SslError, match="no embedding of dimension 8"):
        packing.taught(network, points, wanted[:, :8])


@pytest.mark.parametrize("name", sorted(set(members()) - {"distil", "stereo"}))
def test_pretext__learns_from_what_a_trunk_in_half_precision_sees(name: str, street: tuple[Stock, Boxes]) -> None:
    student = Learner(streets.config(pretexts={name: 1.0}, options={}))
    student.trunk.fast = True
    teacher = teacher_of(student)
    stream = Stream(*street, student.needs(), (64, 64), 4, seed=0)
    batch = collate([stream[i] for i in range(4)])
    scene = Scene(batch, student.trunk, teacher.trunk, 0, 10, torch.Generator().manual_seed(0))
    pretext = dict(student.named())[name]
    loss = pretext.loss(scene, teacher.pretexts[name])
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        pretext.after(scene, teacher.pretexts[name])
    assert loss.dtype == torch.float32 and bool(loss.isfinite())
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in student.trunk.parameters())
