"""Rounds that are not as they should be: contradictions, classes that come, go and change names, packs that do harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
import typer.testing

from central import settings
from central.annotate.second import DISPUTED
from central.cli import app
from central.jobs import rounds as jobs
from central.learn.data import Example
from central.learn.round import RoundError, learning
from central.learn.round.facts import over_rounds
from central.learn.round.plan import Plan, changed_since, plan
from central.learn.round.report import render
from central.learn.round.report_mistakes import Errors
from central.learn.round.run import alone, run_round
from central.learn.start import read_pack
from central.releases import offers
from central.store import database as databases
from central.store.database import Database
from central.store.models import Pack as PackRow
from central.store.models import ProfileVersion, Round
from protocols.messages import utc_now
from protocols.pack import Pack, open_folder
from tests.central.learn.conftest import draw
from tests.central.learn.labelled import fill, packed, profile, smallest

T = TypeVar("T")
OLD = ("square",)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """The smallest pack, which knows squares alone."""
    return packed(smallest(OLD), tmp_path_factory.mktemp("pack") / "first")[1]


@pytest.fixture
def drawn(tmp_path: Path) -> list[Example]:
    """Pictures of squares and discs."""
    (tmp_path / "drawn").mkdir()
    return [draw(tmp_path / "drawn" / f"{i}.jpg", i) for i in range(10)]


def within(data: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    """Return what `work` does with the database of `data`."""

    async def run() -> T:
        database = databases.connect(settings.load(data=data).database)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def planned(data: Path, pack: Pack, shapes: Path, **options: Any) -> Plan:
    """Return the plan of a round."""
    settled = settings.load(data=data, profile=str(shapes), pack=str(pack.folder))
    return within(data, lambda db: plan(db, settled, "r0001", options))


class _Page(HTMLParser):
    """What a page refers to, and whether anything in it could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.styled: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(v) for k, v in attrs if k in ("src", "href", "action", "data")]
        self.styled += [k for k, _ in attrs if k == "style" or k.startswith("on")]


@pytest.fixture(scope="module")
def held(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A round that brings a new class, with a gate that nothing can pass."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "MIN_STEPS", 3)
        patch.setattr(learning, "MAX_STEPS", 3)
        patch.setattr(learning, "BATCH", 2)
        patch.setattr("os.cpu_count", lambda: 1)
        patch.setenv("WAYSIDE_GATE_SIZE", "0.000001")
        folder = tmp_path_factory.mktemp("held")
        shapes = profile(folder, ("square", "disc"))
        pictures = [draw(folder / f"{i}.jpg", i) for i in range(10)]
        asyncio.run(fill(folder / "data", pictures))
        given = ["round", "--data", str(folder / "data"), "--epochs", "1", "--json"]
        patch.setenv("WAYSIDE_PROFILE", str(shapes))
        patch.setenv("WAYSIDE_PACK", str(pack.folder))
        torch.set_num_threads(1)
        done = typer.testing.CliRunner().invoke(app, given)
        assert done.exit_code == 1, done.stderr
        return folder / "data", json.loads(done.stdout.splitlines()[-1])


def test_round__a_class_that_came_is_in_its_pack(pack: Pack, held: tuple[Path, dict[str, Any]]) -> None:
    data, done = held
    made = open_folder(data / "packs" / done["pack"])
    assert made.manifest.labels == ["square", "disc"]
    report = json.loads((data / "rounds" / done["round"] / "report.json").read_text())
    assert report["new"]["classes"] == ["disc"]
    assert report["incremental"]["new_classes"]["before"] == 0.0
    assert report["incremental"]["old_classes"]["after"] is not None
    assert [c["new"] for c in report["judgement"]["classes"]] == [False, True]


def test_round__that_a_gate_speaks_against_is_held(held: tuple[Path, dict[str, Any]]) -> None:
    data, done = held
    assert done["offered"] is False
    assert done["verdict"].startswith("not offered: size: a delta of ")

    async def released(database: Database) -> str:
        with pytest.raises(offers.ReleaseError, match="not offered: size"):
            await offers.create(database, done["pack"], "me")
        async with database.read() as session:
            row = await session.get_one(Round, done["round"])
            assert (row.offered, row.state) == (False, "done")
            return str((await session.get_one(PackRow, done["pack"])).held)

    assert within(data, released) == done["verdict"]


def test_release__of_a_held_pack_says_how(held: tuple[Path, dict[str, Any]]) -> None:
    data, done = held
    runner = typer.testing.CliRunner()
    words = ["release", done["pack"], "--data", str(data)]
    refused = runner.invoke(app, words)
    assert refused.exit_code == 2 and "override it with a reason" in refused.stderr
    assert runner.invoke(app, [*words, "--override", "a test"]).exit_code == 0


def test_report__is_one_page_without_anything_that_runs(held: tuple[Path, dict[str, Any]]) -> None:
    _, done = held
    text = Path(done["report"]).read_text()
    page = _Page(text)
    assert not {"script", "link", "iframe", "form", "object"} & set(page.tags)
    assert page.styled == []
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    for part in ("Not offered", "Gates", "By camera", "By class", "Confusion", "Worst errors", "What the labels cost",
                 "Stages", "Snapshot", "n1/c1"):  # fmt: skip
        assert part in text


def _hostile(value: Any, markup: str) -> Any:
    """Return `value` with `markup` behind every name that people gave."""
    if isinstance(value, dict):
        return {k: _hostile(v, markup) for k, v in value.items()}
    if isinstance(value, list):
        return [_hostile(v, markup) for v in value]
    return f"{value}{markup}" if isinstance(value, str) and value not in ("pass", "fail", "not_enough") else value


def test_report__markup_in_names_is_text(held: tuple[Path, dict[str, Any]]) -> None:
    data, done = held
    report = json.loads((data / "rounds" / done["round"] / "report.json").read_text())
    markup = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    report["new"]["boxes"] = {f"disc{markup}": 3}
    report["new"]["cameras"] = {f"n1/c1{markup}": 3}
    page = _Page(render(_hostile(report, markup), Errors()))
    assert "script" not in page.tags and "img" not in page.tags and page.styled == []


def test_report__what_the_labels_cost(held: tuple[Path, dict[str, Any]]) -> None:
    data, done = held
    report = json.loads((data / "rounds" / done["round"] / "report.json").read_text())
    assert report["cost"] == [{"kind": "answers", "answers": 8, "seconds": 32.0, "untimed": 0}]
    assert 0 < report["overhead"] < 1
    assert set(report["stages"]) >= {"snapshot_s", "training_s", "export_s", "evaluation_s", "total_s"}


def test_plan__frames_that_people_dispute_are_left_out(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data = tmp_path / "data"
    asyncio.run(fill(data, drawn[:6]))
    disputed = asyncio.run(fill(data, drawn[6:8], first=6, opinion=DISPUTED))
    made = planned(data, pack, profile(tmp_path))
    assert not {i.frame for i in made.frozen.items} & set(disputed)
    assert any("2 frames" in note and "two people answer differently" in note for note in made.material.notes)


def test_plan__one_picture_with_two_answers_is_left_out(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data = tmp_path / "data"
    asyncio.run(fill(data, drawn[:4]))
    asyncio.run(fill(data, drawn[6:8], first=11, sha256="f" * 64))
    made = planned(data, pack, profile(tmp_path))
    assert len(made.frozen.items) == 4
    assert any("the same picture and different labels" in note for note in made.material.notes)


def test_plan__is_read_back_whatever_was_labelled_since(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data, shapes = tmp_path / "data", profile(tmp_path)
    asyncio.run(fill(data, drawn[:6]))
    first = planned(data, pack, shapes, epochs=3)
    asyncio.run(fill(data, drawn[6:], first=6))
    again = planned(data, pack, shapes, epochs=9)
    assert (again.frozen, again.epochs, again.material) == (first.frozen, 3, first.material)


def test_plan__a_renamed_class_keeps_what_was_learned(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data, names = tmp_path / "data", ("box", "disc")
    asyncio.run(fill(data, drawn[:6], labels=names))

    async def rename(database: Database) -> None:
        async with database.write() as session:
            session.add(ProfileVersion(version=1, by="anna", profile={}, changes={"renamed": {"square": "box"}}))

    within(data, rename)
    made = planned(data, pack, profile(tmp_path, names))
    network = made.network(made.parent, made.labels)
    assert (made.former, network.config.labels) == ({"box": "square"}, names)
    assert made.shared == {"box"} and made.parent_labels == ("box",)
    old, new = read_pack(pack)[1], network.state_dict()
    name = next(n for n in old if n.startswith("detect.classes.") and n.endswith("weight"))
    assert torch.equal(new[name][0], old[name][0])


@pytest.mark.parametrize(
    ("now", "changes", "said"),
    [
        (("square",), {"removed": {"disc": "keep"}}, "class disc was removed while the round ran"),
        (("square", "ring"), {"renamed": {"disc": "ring"}}, "class disc was renamed to ring while the round ran"),
        (("square", "disc", "star"), {}, "star came while the round ran"),
    ],
)
def test_changed_since__what_became_of_classes(
    tmp_path: Path, pack: Pack, drawn: list[Example], now: tuple[str, ...], changes: dict[str, Any], said: str
) -> None:
    data = tmp_path / "data"
    asyncio.run(fill(data, drawn[:3]))
    made = planned(data, pack, profile(tmp_path))
    settled = settings.load(data=data, profile=str(profile(tmp_path, now)), pack=str(pack.folder))

    async def change(database: Database) -> list[str]:
        async with database.write() as session:
            session.add(ProfileVersion(version=1, by="anna", profile={}, changes=changes))
        return await changed_since(database, settled, made)

    assert [said in note for note in within(data, change)] == [True]


def test_alone__two_processes_do_not_work_on_one_round(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(RoundError, match="runs in another process"), alone(tmp_path, 0.0):
        pass
    assert jobs.idle(tmp_path)


def test_run_round__one_that_lost_its_pack_says_so(tmp_path: Path, pack: Pack, drawn: list[Example]) -> None:
    data, shapes = tmp_path / "data", profile(tmp_path)
    asyncio.run(fill(data, drawn[:3]))
    planned(data, pack, shapes)
    with pytest.raises(RoundError, match="the pack that this round began from is gone"):
        run_round(data, "r0001", {"profile": str(shapes), "pack": "base"}, lambda step: None)


def test_over_rounds__forgetting_and_backward_transfer() -> None:
    found = over_rounds([{"a": 0.8}, {"a": 0.6, "b": 0.5}, {"a": 0.7, "b": 0.4, "c": 0.9}])
    assert found is not None
    assert found["forgetting"] == pytest.approx(0.1)
    assert found["backward_transfer"] == pytest.approx(-0.1)
    assert over_rounds([{"a": 0.8}]) is None


def left_behind(data: Path, state: str) -> None:
    """Add a round in `state` that began long ago and that no process works on."""

    async def add(database: Database) -> None:
        async with database.write() as session:
            session.add(Round(id="r0001", state=state, started=utc_now() - timedelta(hours=1)))

    within(data, add)


def test_round__that_was_left_behind_gives_way_to_a_new_one(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path, []))
    left_behind(tmp_path, "training")
    done = typer.testing.CliRunner().invoke(app, ["round", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "round r0001 was ended before it was done; 'round --resume r0001' goes on with it" in done.stderr
    assert "nothing to learn from" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("state", "wanted", "said"),
    [
        ("done", "r0001", "round r0001 is done; there is nothing to go on with"),
        ("done", "last", "no round that was ended before it was done"),
        ("failed", "r0007", "no round r0007"),
    ],
)
def test_round__resume_of_what_cannot_be(tmp_path: Path, state: str, wanted: str, said: str) -> None:
    asyncio.run(fill(tmp_path, []))
    left_behind(tmp_path, state)
    done = typer.testing.CliRunner().invoke(app, ["round", "--resume", wanted, "--data", str(tmp_path)])
    assert (done.exit_code, done.stderr.strip()) == (2, f"wayside-central: {said}")
