"""Where a round starts: how like places are, what a start names, and a round that chooses for itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from central.cli import app
from central.learn.round import RoundError, learning
from central.learn.round.run import run_round
from central.learn.start import network_from
from central.learn.transfer import Beginning, TransferError, named, planted, proposed, update_of
from central.learn.transfer_similarity import Likeness, Place, energy_share, label_share, likeness
from export import checkpoint
from protocols.pack import Pack, open_folder
from tests.central.learn.conftest import LABELS, draw
from tests.central.learn.labelled import fill, packed, profile, smallest

RANDOM = np.random.default_rng(0)


def place(name: str, at: float, **boxes: int) -> Place:
    return Place(name, RANDOM.normal(at, 1.0, (40, 4)), boxes, 40)


def test_energy_share__one_place_and_two() -> None:
    here = RANDOM.normal(0, 1, (200, 4))
    assert energy_share(here, RANDOM.normal(0, 1, (200, 4))) < 0.02
    assert 0.05 < energy_share(here, RANDOM.normal(1, 1, (200, 4))) < 0.5
    assert energy_share(here, RANDOM.normal(50, 1, (200, 4))) > 0.95
    assert energy_share(np.ones((3, 2)), np.ones((3, 2))) == 0.0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"car": 3}, {"car": 9}, 0.0),
        ({"car": 3}, {"bus": 1}, 1.0),
        ({"car": 1, "bus": 1}, {"car": 1}, 0.311278),
        ({}, {"car": 1}, None),
        ({"car": 0}, {"car": 1}, None),
    ],
)
def test_label_share__jensen_shannon(first: Any, second: Any, expected: float | None) -> None:
    found = label_share(first, second)
    assert found == (expected if expected is None else pytest.approx(expected, abs=1e-6))


def test_likeness__the_nearer_place_is_more_alike() -> None:
    here = place("here", 0.0, car=10, person=1)
    rows = [likeness("a", place("far", 4.0, car=1), here), likeness("b", place("near", 0.2, car=8, person=1), here)]
    alike = [row.likeness for row in rows]
    assert None not in alike and sorted(alike, key=float) == alike  # type: ignore[arg-type]
    few = Place("few", np.zeros((3, 4)), {}, 3)
    assert likeness("c", few, here).likeness is None


def row(pack: str, alike: float | None) -> Likeness:
    return Likeness(pack, pack, alike, alike, None, 9, f"{pack}: frames")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return packed(smallest(), tmp_path_factory.mktemp("base") / "first")[1]


def test_proposed__the_most_similar_and_what_runs_where_nothing_can_be_compared(base: Pack) -> None:
    table = [row("a", 0.2), row("b", None), row("c", 0.7)]
    found = proposed(table, {"a": base, "b": base, "c": base}, base)
    assert [r.pack for r in found.table] == ["c", "a", "b"]
    assert found.how == "the most similar of 3: c: frames"
    assert proposed([row("b", None)], {"b": base}, base).how.startswith("the pack that runs")


def test_named__pack_address_checkpoint_and_none(base: Pack, tmp_path: Path) -> None:
    registered = tmp_path / "packs" / base.address
    registered.parent.mkdir()
    registered.symlink_to(base.folder)
    assert named(base.address[:10], base, registered.parent).pack.address == base.address
    assert named(str(base.folder), base, tmp_path).how == f"asked for: {base.folder}"
    with pytest.raises(TransferError, match=r"start nowhere: "):
        named("nowhere", base, tmp_path)
    with pytest.raises(TransferError, match=r"none\.safetensors: no such checkpoint"):
        named(str(tmp_path / "none.safetensors"), base, tmp_path)


def test_planted__the_backbone_of_a_checkpoint(base: Pack, tmp_path: Path) -> None:
    network, path = network_from(base, LABELS), tmp_path / "ssl.safetensors"
    name = next(n for n, t in network.state_dict().items() if n.startswith("backbone.") and t.ndim == 4)
    before = network.state_dict()[name].clone()
    checkpoint.write(path, {name: before + 1}, {})
    begun = named(str(path), base, tmp_path)
    assert (begun.pack, begun.weights) == (base, path)
    after = planted(network, path).state_dict()[name]
    assert np.allclose(after.numpy(), before.numpy() + 1)
    checkpoint.write(path, {"other": before}, {})
    with pytest.raises(TransferError, match="no weight of it fits the backbone"):
        planted(network, path)


@pytest.mark.parametrize(("name", "learns"), [(None, None), ("", None), ("norms", "heads+norms"), ("heads", "heads")])
def test_update_of__names(name: str | None, learns: str | None) -> None:
    assert update_of(name) == learns


def test_update_of__none_such() -> None:
    with pytest.raises(TransferError, match="update 'half': give one of all, heads, norms, low-rank"):
        update_of("half")


def test_described__for_the_report(base: Pack) -> None:
    told = Beginning(base, table=(row("a", 0.5),)).described()
    assert told["start"]["pack"] == base.address and told["similarity"][0]["likeness"] == 0.5


def test_run_round__from_the_most_similar_with_heads_alone(
    base: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "MIN_STEPS", 3)
    monkeypatch.setattr(learning, "BATCH", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    (tmp_path / "drawn").mkdir()
    data = tmp_path / "data"
    asyncio.run(fill(data, [draw(tmp_path / "drawn" / f"{i}.jpg", i) for i in range(10)]))
    options = {"epochs": 1, "profile": str(profile(tmp_path)), "pack": str(base.folder)}
    first = run_round(data, "r1", options, lambda _: None)
    assert (first["start"]["how"], first["similarity"], first["update"]) == ("the pack that runs", [], "all")
    again = {**options, "again": True, "start": "auto", "update": "heads"}
    second = run_round(data, "r2", again, lambda _: None)
    assert second["start"]["pack"] == first["pack"], "it was trained on these very frames"
    assert second["similarity"][0]["likeness"] > 0.9
    assert second["update"] == "heads" and second["delta_bytes"] < first["delta_bytes"] * 3
    made = open_folder(data / "packs" / second["pack"])
    assert made.manifest.parent == first["pack"]
    with pytest.raises(RoundError, match="update 'half'"):
        run_round(data, "r3", {**options, "again": True, "update": "half"}, lambda _: None)


def test_round__options_that_are_none(tmp_path: Path) -> None:
    assert "--start" in CliRunner().invoke(app, ["round", "--help"], terminal_width=200).output
