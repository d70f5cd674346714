"""Order and proposals of the queue by command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer.testing

from central.cli import app
from central.store import database, migrations

LABEL = "name: p\nlabels: [{name: car, color: '#112233'}]\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A centre's folder without frames."""

    async def make() -> None:
        db = database.connect(database.sqlite_url(tmp_path / "central.db"))
        await migrations.migrate(db.engine)
        await db.close()

    asyncio.run(make())
    return tmp_path


def run(*words: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(app, ["queue", *words])


def test_order__says_what_it_did(data: Path) -> None:
    done = run("order", "--data", str(data), "--strategy", "none", "--json")
    assert (done.exit_code, json.loads(done.stdout)["strategy"]) == (0, "none")


def test_order__strategy_of_the_profile(data: Path) -> None:
    (data / "p.yaml").write_text(LABEL + "queue: {strategy: margin}\n")
    done = run("order", "--data", str(data), "--profile", str(data / "p.yaml"), "--json")
    assert json.loads(done.stdout)["strategy"] == "margin"


@pytest.mark.parametrize(
    ("words", "says"), [(("order", "--strategy", "nix"), "there are"), (("propose",), "no centre's data here")]
)
def test_queue__wrong_use(data: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    where = data if words[0] == "order" else tmp_path / "nowhere"
    done = run(*words, "--data", str(where))
    assert done.exit_code == 2
    assert says in done.stderr


def test_propose__tells_what_cannot_be_used(data: Path) -> None:
    (data / "p.yaml").write_text(LABEL + "proposers: [{kind: tags}, {kind: teacher, model: nix}]\n")
    done = run("propose", "--data", str(data), "--profile", str(data / "p.yaml"), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, list(told["sources"]), list(told["troubles"])) == (1, ["tags"], ["teacher nix"])


def test_strategies__are_listed() -> None:
    assert {"ours", "random", "none"} <= set(json.loads(run("strategies", "--json").stdout))
