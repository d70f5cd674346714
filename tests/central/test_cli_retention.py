"""Rules, previews, runs, proofs and restores from the command line."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from central.cli import app
from central.store import blobs as stores
from central.store import database as databases
from central.store.models import Frame
from central.store.retention import away
from tests.central.store.retention.world import NOW, World, frame_id


def call(data: Path, *words: str, status: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*words, "--data", str(data), "--json"])
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if status < 2 else {"said": done.output}
    return found


@pytest.fixture
def data(tmp_path: Path, migrated: Path) -> Path:
    """A centre's folder: frames 1 and 2 are old, 3 is new."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(migrated, folder / "central.db")

    async def fill() -> None:
        db = databases.connect(databases.sqlite_url(folder / "central.db"))
        world = World(db, stores.connect(None, folder / "blobs"), folder)
        await world.add(1, 2, 3)
        async with db.write() as session:
            old = update(Frame).where(Frame.id.in_([frame_id(1), frame_id(2)]))
            await session.execute(old.values(received_at=NOW.replace(year=2020)))
        world.blobs.close()
        await db.close()

    asyncio.run(fill())
    return folder


def test_retention__from_the_preview_to_the_proof(data: Path, tmp_path: Path) -> None:
    backups, log = str(tmp_path / "vault"), str(tmp_path / "deletions.jsonl")
    call(data, "backup", backups)
    assert call(data, "retention", "preview", "unlabelled=30")["frames"] == 2
    assert call(data, "retention", "show")["rules"]["*"]["unlabelled_days"] is None
    assert call(data, "retention", "set", "unlabelled=30", "--yes")["rule"]["unlabelled_days"] == 30
    held = call(data, "retention", "hold", "case 17", "--frame", frame_id(1))["hold"]
    assert call(data, "retention", "preview")["kept"] == {"held": 1}
    call(data, "retention", "unhold", str(held))
    assert call(data, "retention", "run")["frames"] == 2
    assert call(data, "storage")["frames"] == 1
    key = call(data, "retention", "export", log)["key"]
    assert call(data, "retention", "verify", log)["ok"]
    call(data, "backup", backups)
    older = json.loads(CliRunner().invoke(app, ["restore", backups, "--list", "--json"]).stdout.splitlines()[-1])
    name = older["backups"][0]["name"]

    bare = tmp_path / "bare"
    assert call(bare, "restore", backups, "--backup", name)["deleted_since"] == 2
    assert len(call(bare, "retention", "verify", log, "--key", key, status=1)["left"]) >= 4
    assert call(bare, "retention", "apply", log, "--key", key)["frames"] == 2
    assert call(bare, "retention", "verify", log, "--key", key)["ok"]

    clean = tmp_path / "clean"
    done = call(clean, "restore", backups, "--backup", name, "--deletions", log, "--key", key)
    assert done["deleted_again"]["frames"] == 2
    assert call(clean, "retention", "verify", log, "--key", key)["ok"]
    assert call(clean, "retention", "verify", log, status=1)["problems"]


def test_verify__twin_that_leaves_images(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        """Take nothing away."""

    monkeypatch.setattr(away, "images", nothing)
    log = str(tmp_path / "deletions.jsonl")
    call(data, "retention", "set", "unlabelled=30", "--yes")
    call(data, "retention", "run")
    call(data, "retention", "export", log)
    assert call(data, "retention", "verify", log, "--offline")["ok"]
    assert not call(data, "retention", "verify", log, status=1)["ok"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("set", "frames=3", "--yes"), "give unlabelled"),
        (("set", "audit=3", "--site", "north", "--yes"), "one for all sites"),
        (("hold", "x"), "give --frame"),
        (("hold", "x", "--camera", "a/b"), "no such camera"),
        (("unhold", "9"), "no hold 9"),
        (("verify", "/nope"), "No such file"),
    ],
)
def test_retention__wrong_use_is_one_line(data: Path, words: tuple[str, ...], says: str) -> None:
    assert says in call(data, "retention", *words, status=2)["said"]
