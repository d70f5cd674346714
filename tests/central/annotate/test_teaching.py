"""A teacher that proposes for the frames that wait: the command, from the store to the store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from central.annotate import profile, queue
from central.cli import app
from central.store import blobs as blob_store
from central.store.blobs import Blobs
from tests.central.learn.test_teachers import pack


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """Blobs where the centre keeps them."""
    return blob_store.connect(None, tmp_path / "blobs")


async def annotate(*words: str) -> typer.testing.Result:
    """Run the command in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(typer.testing.CliRunner().invoke, app, ["annotate", "--teacher", "pack", *words])


async def test_annotate_queue__proposals_with_source_and_confidence(tmp_path: Path, db: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("car", 0.2))
    model = pack(tmp_path / "large", profile.load("street").label_names)
    result = await annotate("--model", str(model), "--queue", "--data", str(tmp_path), "--threshold", "0", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert (told["source"], told["frames"], told["skipped"]) == ("pack:large", 1, 0)
    assert len(row.annotations) == told["proposals"] > 0
    assert {(a.source, a.confirmed) for a in row.annotations} == {("pack:large", False)}
    assert all(a.score is not None and 0 <= a.score <= 1 for a in row.annotations)
    assert (row.state, row.revision) == ("pending", 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--queue", "--images", "x"], "leave --images, --out and --labels away"),
        (["--images", "x"], "give --images and --out for a folder of images, or --queue"),
        ([], "give --images and --out for a folder of images, or --queue"),
        (["--queue", "--data", "nix"], "no centre's data here"),
        (["--queue", "--profile", "nix"], "no such profile"),
    ],
)
async def test_annotate_queue__wrong_use(words: list[str], says: str) -> None:
    result = await annotate("--model", "base", *words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
