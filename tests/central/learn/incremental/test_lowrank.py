"""Low-rank updates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from central.learn.data import Example
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run
from central.learn.incremental.lowrank import attach, merge
from central.learn.models import ModelConfig, build

CONFIG = ModelConfig(size="tiny", labels=("square", "disc"), height=96, width=96, embedding=16)


def test_attach__starts_as_it_was() -> None:
    network = build(CONFIG).eval()
    image = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
    before = network(image)
    assert attach(network, 2)
    after = network(image)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_merge__has_the_names_and_the_outputs_of_a_plain_network() -> None:
    network = build(CONFIG).eval()
    names = set(network.state_dict())
    for name in attach(network, 2):
        torch.nn.init.normal_(network.get_parameter(name), std=0.1)
    image = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
    before = network(image)
    plain = build(CONFIG).eval()
    plain.load_state_dict(merge(network).state_dict())
    assert set(network.state_dict()) == names
    assert torch.allclose(before["scores"], plain(image)["scores"], atol=1e-6)


def test_run__the_trunk_moves_by_its_rank_alone(
    tmp_path: Path, shapes: Callable[[int], list[Example]], settings: Callable[..., TrainConfig]
) -> None:
    config = settings(train="low-rank", rank=2, steps=6)
    start = build(config.model).state_dict()  # type: ignore[arg-type]
    result = Run(config, shapes(4), [], tmp_path / "run", start=start).run()
    ranks = []
    for name, after in result.network.state_dict().items():
        if after.ndim == 4 and name.startswith(("backbone.", "neck.")):
            moved = (after - start[name]).flatten(1)
            if bool(moved.any()) and 2 * (moved.shape[0] + moved.shape[1]) < moved.numel():
                ranks.append(int((torch.linalg.svdvals(moved) > 1e-6).sum()))
    assert ranks and max(ranks) <= 2


def test_run__low_rank_resumes(
    tmp_path: Path, shapes: Callable[[int], list[Example]], settings: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config, examples = settings(train="low-rank", rank=2, steps=8, save_every=3), shapes(4)
    whole = Run(config, examples, [], tmp_path / "whole").run().network.state_dict()
    real = Run._step

    def power_cut(run: Run, batch: object) -> object:
        if run.step == 5:
            raise KeyboardInterrupt
        return real(run, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "_step", power_cut)
    with pytest.raises(KeyboardInterrupt):
        Run(config, examples, [], tmp_path / "cut").run()
    monkeypatch.undo()
    resumed = Run(config, examples, [], tmp_path / "cut").run().network.state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
