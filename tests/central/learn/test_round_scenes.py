"""Tags that people set on frames reach the round: what is learned, kept, renamed, judged and reported."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from central.learn.data import Example
from central.learn.round import learning
from central.learn.round.report import render
from central.learn.round.report_mistakes import Errors
from central.learn.round.run import run_round
from central.learn.round.scenes import judged, vocabulary
from central.learn.start import read_pack
from central.store.database import Database
from central.store.models import ProfileVersion
from protocols.pack import Pack, open_folder
from tests.central.learn.conftest import LABELS, draw
from tests.central.learn.labelled import fill, packed, profile, smallest
from tests.central.learn.test_round_cases import planned, within

WET = {"rain": "present", "square": "absent"}
DRY = {"rain": "absent", "snow": "absent"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """The smallest pack, whose tags are its classes."""
    return packed(smallest(), tmp_path_factory.mktemp("pack") / "first")[1]


@pytest.fixture
def drawn(tmp_path: Path) -> list[Example]:
    """Pictures of squares and discs."""
    (tmp_path / "drawn").mkdir()
    return [draw(tmp_path / "drawn" / f"{i}.jpg", i) for i in range(12)]


def told(data: Path, drawn: list[Example]) -> None:
    """Store half of `drawn` as rainy frames, half as dry ones."""
    asyncio.run(fill(data, drawn[:6], tags=WET))
    asyncio.run(fill(data, drawn[6:], first=6, tags=DRY))


@pytest.mark.parametrize(
    ("known", "labels", "asked", "said", "tags", "note"),
    [
        (("a", "b"), ("a", "b"), ("rain",), {"rain": (2, 2)}, ("a", "b", "rain"), ""),
        (("a", "b"), ("a", "b"), ("rain",), {"rain": (9, 1)}, ("a", "b"), "present in 9 frames, absent in 1"),
        (("a", "rain"), ("a",), ("rain",), {"rain": (1, 0)}, ("a", "rain"), ""),
        (("a", "rain"), ("a", "b"), (), {}, ("a", "rain", "b"), ""),
        (("rain",), ("a",), ("rain", "a"), {"a": (3, 3)}, ("rain",), ""),
        ((), ("a",), ("rain",), {"rain": (3, 3)}, (), "as the pack has no head for them (train tags makes one): rain"),
        ((), ("a",), ("rain",), {}, (), ""),
        (("a",), ("a",), ("rain", "fog"), {"fog": (2, 3)}, ("a", "fog"), ""),
    ],
)
def test_vocabulary(
    known: tuple[str, ...], labels: tuple[str, ...], asked: tuple[str, ...], said: dict[str, tuple[int, int]],
    tags: tuple[str, ...], note: str,
) -> None:  # fmt: skip
    found, notes = vocabulary(known, labels, asked, said)
    assert found == tags
    assert note in " ".join(notes) and bool(notes) == bool(note)


def test_judged__a_pack_without_tags_has_nothing_to_judge(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data = tmp_path / "data"
    told(data, drawn)
    made = planned(data, pack, profile(tmp_path))
    items = [*made.frozen.judging, *made.frozen.training]
    assert items
    assert judged((pack, ()), (pack, ()), items, data, LABELS, {}) == []


def test_plan__what_people_said_of_scenes_is_learned(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data = tmp_path / "data"
    told(data, drawn)
    made = planned(data, pack, profile(tmp_path, tags=("rain", "snow")))
    assert made.tags == ("square", "disc", "rain")
    assert any(note.startswith("tag snow was not learned: present in 0 frames") for note in made.material.notes)
    said = {tuple(e.tags.tolist()) for e in made.shown(made.material.new)}
    assert said == {(0, 0, 1), (0, 0, -1)}, "boxes tell of classes, whatever a tag of their name says"
    network = made.network(made.parent, made.labels, made.tags)
    old, new = read_pack(pack)[1], network.state_dict()
    assert network.config.tags == made.tags
    name = next(n for n in old if n.startswith("tags.out.") and n.endswith("weight"))
    assert torch.equal(new[name][:2], old[name]) and len(new[name]) == 3
    assert planned(data, pack, profile(tmp_path)).tags == made.tags, "read back"


def test_plan__a_renamed_tag_keeps_what_was_learned(tmp_path: Path, drawn: list[Example]) -> None:
    data = tmp_path / "data"
    wet = packed(smallest_with("wet"), tmp_path / "wet")[1]
    asyncio.run(fill(data, drawn[:6], tags={"rain": "present"}))

    async def rename(database: Database) -> None:
        async with database.write() as session:
            session.add(ProfileVersion(version=1, by="anna", profile={}, changes={"renamed_tags": {"wet": "rain"}}))

    within(data, rename)
    made = planned(data, wet, profile(tmp_path, tags=("rain",)))
    assert (made.tags, made.today(wet)) == (("square", "disc", "rain"),) * 2
    new, old = made.network(made.parent, made.labels, made.tags).state_dict(), read_pack(wet)[1]
    name = next(n for n in old if n.startswith("tags.out.") and n.endswith("weight"))
    assert torch.equal(new[name], old[name])


def smallest_with(tag: str) -> Any:
    """Return the configuration of the smallest network with a tag beside its classes."""
    return msgspec.structs.replace(smallest(), tags=(*LABELS, tag))


def test_run_round__tags_are_in_the_pack_and_in_the_report(
    tmp_path: Path, pack: Pack, drawn: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIN_STEPS", "MAX_STEPS"):
        monkeypatch.setattr(learning, name, 3)
    monkeypatch.setattr(learning, "BATCH", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    data = tmp_path / "data"
    told(data, drawn)
    given = {"epochs": 1, "profile": str(profile(tmp_path, tags=("rain", "snow"))), "pack": str(pack.folder)}
    done = run_round(data, "r0001", given, lambda step: None)
    made = open_folder(data / "packs" / done["pack"])
    assert made.manifest.tags == ["square", "disc", "rain"]
    report = json.loads((data / "rounds" / "r0001" / "report.json").read_text())
    (row,) = report["tags"]
    assert (row["name"], row["present"], row["absent"], row["judged"]) == ("rain", 4, 5, 3)
    assert row["before"] is None and 0 < row["after"] <= 1
    assert any(note.startswith("tag snow was not learned") for note in report["notes"])
    assert "<h2>Tags</h2>" in render(report, Errors())
    before, after = read_pack(pack)[1], read_pack(made)[1]
    name = next(n for n in before if n.startswith("tags.out.") and n.endswith("weight"))
    assert not np.array_equal(after[name][2], np.zeros_like(after[name][2]))
