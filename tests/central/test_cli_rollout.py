"""``rollout`` and ``pack`` from the command line, on the tables of a centre that does not run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from central.cli import app
from central.store import database
from central.store.migrations import migrate
from central.store.models import Node, Pack

runner = typer.testing.CliRunner()
A, B = "a" * 64, "b" * 64


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A centre's folder with two packs and four nodes."""

    async def make() -> None:
        made = database.connect(database.sqlite_url(tmp_path / "central.db"))
        await migrate(made.engine)
        async with made.write() as session:
            session.add_all(
                [
                    Pack(address=A, name="old", size_bytes=10, labels=["car"], metrics={"ap50": 0.5}),
                    Pack(address=B, name="new", size_bytes=12, labels=["car", "bus"], metrics={"ap50": 0.625}),
                    *(Node(name=f"n{i}", site="lab" if i == 3 else "north", state="online") for i in range(4)),
                ]
            )
        await made.close()

    asyncio.run(make())
    return tmp_path


def run(data: Path, *words: str) -> Any:
    return runner.invoke(app, [*words, "--data", str(data)])


def told(data: Path, *words: str, status: int = 0) -> dict[str, Any]:
    result = run(data, *words, "--json")
    assert result.exit_code == status, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def one_line(result: Any) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


def test_rollout__from_plan_to_history(data: Path) -> None:
    made = told(data, "rollout", "plan", "new", "--group", "canary=site:lab", "--rest", "--waves", "50%")
    assert [(w["group"], w["total"]) for w in made["waves"]] == [("canary", 1), ("rest", 2), ("rest", 4)]
    number = str(made["rollout"])
    started = told(data, "rollout", "start", number)
    assert started["state"] == "running"
    assert told(data, "rollout", "pause", number, "--reason", "lunch")["reason"] == "lunch"
    assert told(data, "rollout", "resume", number, "--gate", "agreement=0.4")["plan"]["gates"] == {
        "agreement": {"on": True, "limit": 0.4, "required": None}
    }
    assert told(data, "rollout", "rollback", number)["state"] == "rolling_back"
    history = told(data, "rollout", "history", number)["history"]
    assert [e["to_state"] for e in history if e["kind"] == "state"] == ["running", "paused", "running", "rolling_back"]
    assert told(data, "rollout", "status")["rollouts"][0]["state"] == "rolling_back"
    assert "lunch" in run(data, "rollout", "history", number).stdout
    assert told(data, "rollout", "effect", number) == {"changes": [], "nodes": []}


def test_rollout__start_a_pack_at_once_from_a_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("waves: [1, 2]\nsoak_s: 5\ngates: {latency: {limit: 1.2}}\n")
    view = told(data, "rollout", "start", "new", "--plan", str(file), "--gate", "crashes=off", "--hold")
    assert (view["state"], view["waves"], view["plan"]["on_halt"]) == ("running", 3, "hold")
    assert view["plan"]["gates"]["latency"]["limit"] == 1.2
    assert view["plan"]["gates"]["crashes"]["on"] is False


def test_status__says_no_where_it_was_aborted(data: Path) -> None:
    number = str(told(data, "rollout", "plan", "new")["rollout"])
    told(data, "rollout", "abort", number)
    assert told(data, "rollout", "status", number, "--wait", status=1)["state"] == "aborted"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plan", "nix"], "nix"),
        (["plan", "new", "--waves", "few"], "--waves: 'few'"),
        (["plan", "new", "--group", "lab"], "--group lab: write NAME="),
        (["plan", "new", "--gate", "luck=1"], "no gate 'luck'"),
        (["plan", "new", "--gate", "crashes=often"], "--gate crashes=often: write"),
        (["start", "7"], "no rollout 7"),
        (["pause", "7"], "no rollout 7"),
        (["status", "7"], "no rollout 7"),
    ],
)
def test_rollout__wrong_input_is_one_line(data: Path, words: Sequence[str], says: str) -> None:
    assert says in one_line(run(data, "rollout", *words))


def test_rollout__a_stale_revision_is_refused(data: Path) -> None:
    number = str(told(data, "rollout", "plan", "new")["rollout"])
    assert "changed meanwhile" in one_line(run(data, "rollout", "start", number, "--revision", "9"))


def test_release__is_refused_while_a_rollout_runs(data: Path) -> None:
    told(data, "rollout", "start", "new")
    assert "rollout 1 is running" in one_line(run(data, "release", "old"))


def test_pack__list_and_diff(data: Path) -> None:
    assert {p["name"] for p in told(data, "pack", "list")["packs"]} == {"old", "new"}
    diff = told(data, "pack", "diff", "old", "new")
    assert diff["classes"]["added"] == ["bus"]
    assert diff["metrics"] == [{"name": "ap50", "before": 0.5, "after": 0.625}]
    assert "ap50     0.5 -> 0.625" in run(data, "pack", "diff", "old", "new").stdout
    assert "no such pack" in one_line(run(data, "pack", "diff", "old", "nix"))
