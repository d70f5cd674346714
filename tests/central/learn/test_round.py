"""A round from a pack of each family: labels in the store -> a pack that comes of the one before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer.testing
from sqlalchemy import select

from central import settings
from central.cli import app
from central.learn.families import AnyConfig
from central.learn.models.detr import configure
from central.learn.round import learning
from central.learn.round.run import run_round
from central.learn.start import StartError, network_from, read_pack
from central.store import database as databases
from central.store.models import Pack as PackRow
from edge.runtime.model import Model
from export import checkpoint
from export.graph import weights_of
from protocols.delta import grid
from protocols.pack import Pack, open_folder
from tests.central.learn.conftest import LABELS, SIDE, draw
from tests.central.learn.labelled import fill, packed, profile, smallest
from tests.central.learn.tiny import detr


def config_of(family: str, folder: Path) -> AnyConfig:
    """Return the configuration of the smallest network of `family`."""
    if family == "wayside":
        return smallest()
    detr("d_fine", LABELS, folder / "weights")
    return configure(str(folder / "weights"), LABELS, LABELS, SIDE, SIDE)


@pytest.fixture(scope="module", params=["wayside", pytest.param("detr", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Pack]:
    """A network of each family and its pack."""
    folder = tmp_path_factory.mktemp(request.param)
    return packed(config_of(request.param, folder), folder / "first")


def test_network_from__computes_what_the_pack_computes(made: tuple[Any, Pack]) -> None:
    network, pack = made
    again = network_from(pack, LABELS)
    image = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        before, after = network(image), again(image)
    assert read_pack(pack)[0] == network.config == again.config
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_network_from__classes_follow_their_names(made: tuple[Any, Pack]) -> None:
    network, pack = made
    more = network_from(pack, ("disc", "cone", "square"), LABELS)
    image = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        old, new = network.eval().raw(image), more.raw(image)
    logits = [out.inner.enc_outputs_class if hasattr(out, "inner") else out.logits for out in (old, new)]
    assert logits[1].shape[-1] == 3
    assert torch.allclose(logits[0][..., [1, 0]], logits[1][..., [0, 2]], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("made", ["detr"], indirect=True)
def test_network_from__heads_that_only_training_uses_copy_the_last_layers(made: tuple[Any, Pack]) -> None:
    state = network_from(made[1], LABELS).state_dict()
    for kind in ("class_embed.{}.weight", "model.decoder.lqe_layers.{}.reg_conf.layers.0.weight"):
        first, last = (state["detector." + kind.format(layer)] for layer in (0, 1))
        assert torch.equal(first, last)


def test_network_from__a_pack_that_lacks_a_weight(made: tuple[Any, Pack], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "central.learn.start.weights_of",
        lambda model: {k: v for k, v in weights_of(model).items() if "embedding" not in k},
    )
    with pytest.raises(StartError, match=r"lacks 2 weights, the first is embedding\.project\.bias"):
        network_from(made[1], LABELS)


def test_load_into__a_weight_of_two_names_is_given_by_one() -> None:
    layer = torch.nn.Linear(2, 2)
    network = torch.nn.ModuleDict({"a": layer, "b": layer})
    given = {"b.weight": torch.ones(2, 2), "b.bias": torch.ones(2)}
    assert checkpoint.load_into(network, given) == []
    assert float(layer.weight.detach().sum()) == 4.0


async def registered(data: Path) -> list[str]:
    """Return the addresses of the packs in the store."""
    database = databases.connect(settings.load(data=data).database)
    async with database.read() as session:
        found = [row.address for row in await session.scalars(select(PackRow))]
    await database.close()
    return found


def test_run_round__from_a_pack_of_each_family(
    made: tuple[Any, Pack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning, "MIN_STEPS", 3)
    monkeypatch.setattr(learning, "BATCH", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    shapes = profile(tmp_path)
    (tmp_path / "drawn").mkdir()
    data = tmp_path / "data"
    steps: list[dict[str, Any]] = []
    asyncio.run(fill(data, [draw(tmp_path / "drawn" / f"{i}.jpg", i) for i in range(10)]))
    options = {"epochs": 1, "profile": str(shapes), "pack": str(made[1].folder)}
    done = run_round(data, "r1", options, steps.append)
    pack = open_folder(data / "packs" / done["pack"])
    assert (pack.manifest.parent, pack.manifest.labels) == (made[1].address, list(LABELS))
    assert read_pack(pack)[0] == made[0].config
    assert asyncio.run(registered(data)) == [pack.address]
    assert done["held_back"] == 2
    assert done["ap50_after"] is not None
    before, after = read_pack(made[1])[1], read_pack(pack)[1]
    changed = [name for name, value in before.items() if not np.array_equal(after[name], value)]
    assert changed
    for name in changed:  # the update lies on the grid that a delta carries
        old, new = (grid.rows(weights[name].numpy().astype(np.float32)) for weights in (before, after))
        assert grid.recover(old, new) is not None, name
    with Model(pack, "cpu") as model:
        assert model.infer(np.zeros((50, 70, 3), np.uint8), 0.0).detections.spread is not None
    assert {step["state"] for step in steps if "state" in step} == {"training", "exporting", "evaluating"}


def test_round__with_nothing_to_learn_from(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path, []))
    result = typer.testing.CliRunner().invoke(app, ["round", "--data", str(tmp_path)])
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("wayside-central: nothing to learn from: 0 labelled frames")
