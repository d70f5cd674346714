"""Backups of images on a real S3 server: out of it, into it, and between it and a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from central.ingest import frames
from central.ingest.frames import Checked
from central.store import blobs as stores
from central.store import bundles, objects
from central.store import database as databases
from central.store.backup import BackupError, bring
from central.store.backup.save import Saved, save
from central.store.backup.vault import Vault
from central.store.blobs import Blobs
from central.store.models import Frame
from protocols.messages import Assessment, FrameMessage, Selection, utc_now
from tests.servers.s3 import S3


def message(number: int, size: int = 5000) -> FrameMessage:
    """A frame whose image is known by its first letter."""
    image = bytes([65 + number]) * size
    return FrameMessage(
        id=f"01a1fd90-ef51-7c70-995c-{number:012x}", node="n1", boot="b1", sequence=number, index=number, camera="c",
        site="s", time=utc_now(), width=8, height=8, assessment=Assessment(), sha256=hashlib.sha256(image).hexdigest(),
        image=image, selection=Selection(keep=True, probability=0.5, reason="x", policy="budget"),
    )  # fmt: skip


class Centre:
    """A data folder, and images on S3 or in it."""

    def __init__(self, tmp_path: Path, migrated: Path, s3: S3) -> None:
        self.tmp_path, self.s3, self.folder = tmp_path, s3, tmp_path / "centre"
        self.folder.mkdir()
        shutil.copy(migrated, self.folder / "central.db")
        self.db = databases.connect(databases.sqlite_url(self.folder / "central.db"))
        self.vault = Vault(tmp_path / "vault")

    def place(self, kind: str, folder: Path) -> Blobs:
        """Return a fresh store: on S3, or in `folder`."""
        url = self.s3.url(self.s3.create()) if kind == "s3" else None
        return stores.connect(url, folder / "blobs")

    async def add(self, blobs: Blobs, *numbers: int, size: int = 5000) -> None:
        """Store frames."""
        await frames.store(self.db, blobs, Checked([message(n, size) for n in numbers]))

    async def save(self, blobs: Blobs) -> Saved:
        """Make a backup."""
        return await save(self.folder, self.db, blobs, self.vault)

    async def restore(self, target: Blobs, data: Path) -> None:
        """Bring the newest backup back."""
        manifest = self.vault.read()
        bring.files(self.vault, manifest, data, target.root, lambda *_: None)
        await bring.blobs(self.vault, manifest, target, lambda *_: None)

    async def images(self, blobs: Blobs) -> dict[int, str]:
        """Return the first letter of every image, and that it is whole, by its frame's number."""
        found = {}
        async with self.db.read() as session:
            for row in await session.scalars(select(Frame)):
                data = await blobs.read(row.blob)
                assert hashlib.sha256(data).hexdigest() == row.sha256
                found[row.sequence] = chr(data[0])
        return found


@pytest.fixture
async def centre(tmp_path: Path, migrated: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Centre]:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    made = Centre(tmp_path, migrated, s3)
    yield made
    await made.db.close()


@pytest.mark.parametrize(("from_", "to"), [("s3", "s3"), ("s3", "folder"), ("folder", "s3")])
async def test_restore__every_image_under_its_key(centre: Centre, tmp_path: Path, from_: str, to: str) -> None:
    blobs = centre.place(from_, centre.folder)
    await centre.add(blobs, 0, 1, 2)
    await centre.add(blobs, 3)
    done = await centre.save(blobs)
    assert done.missing == 0
    blobs.close()
    other = centre.place(to, tmp_path / "again")
    await centre.restore(other, tmp_path / "again")
    shutil.rmtree(centre.folder / "blobs", ignore_errors=True)
    assert await centre.images(other) == {0: "A", 1: "B", 2: "C", 3: "D"}


async def test_restore__a_large_segment_goes_in_parts(centre: Centre, tmp_path: Path) -> None:
    blobs = centre.place("folder", centre.folder)
    await centre.add(blobs, 0, 1, size=3_000_000)
    await centre.save(blobs)
    blobs.close()
    other = centre.place("s3", tmp_path / "again")
    await centre.restore(other, tmp_path / "again")
    [large] = [found async for found in objects.listed(other) if found.name.endswith(bundles.SUFFIX)]
    assert large.size >= 6_000_000 > bundles.MAX_BUNDLE
    assert await centre.images(other) == {0: "A", 1: "B"}


async def test_save__reads_what_is_new_or_changed_alone(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, asked = centre.place("s3", centre.folder), []
    await centre.add(blobs, 0, 1)
    await centre.save(blobs)
    await centre.add(blobs, 2)
    plain = objects.read

    def watched(given: Blobs, name: str) -> Any:
        asked.append(name)
        return plain(given, name)

    monkeypatch.setattr(objects, "read", watched)
    done = await centre.save(blobs)
    assert (len(asked), done.missing) == (1, 0)


async def test_save__images_on_s3_and_still_in_the_folder(centre: Centre, tmp_path: Path) -> None:
    folder = centre.place("folder", centre.folder)
    await centre.add(folder, 0)
    folder.close()
    blobs = centre.place("s3", centre.folder)
    await centre.add(blobs, 1)
    assert (await centre.save(blobs)).missing == 0
    other = centre.place("s3", tmp_path / "again")
    await centre.restore(other, tmp_path / "again")
    assert await centre.images(other) == {0: "A", 1: "B"}


async def test_save__says_what_is_missing(centre: Centre) -> None:
    blobs = centre.place("s3", centre.folder)
    await centre.add(blobs, 0)
    await centre.add(blobs, 1)
    async with centre.db.read() as session:
        keys = list(await session.scalars(select(Frame.blob)))
    await blobs.delete(keys[0])
    assert (await centre.save(blobs)).missing == 1


async def test_restore__a_damaged_backup_puts_nothing_in_its_place(centre: Centre, tmp_path: Path) -> None:
    blobs = centre.place("s3", centre.folder)
    await centre.add(blobs, 0)
    await centre.save(blobs)
    [kept] = centre.vault.read().blobs
    centre.vault.path(kept.sha256).write_bytes(b"A" * 4999 + b"B")
    other = centre.place("s3", tmp_path / "again")
    with pytest.raises(BackupError, match="damaged"):
        await centre.restore(other, tmp_path / "again")
    assert [found async for found in objects.listed(other)] == []
