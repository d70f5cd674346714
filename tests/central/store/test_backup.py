"""Backups: what comes back is what was there, to the byte; what is damaged, half or strange does not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from sqlalchemy import null, select, text

from central.ingest import frames
from central.ingest.frames import Checked
from central.store import blobs as stores
from central.store import database as databases
from central.store.backup import BackupError, Kept, Manifest, Table, bring
from central.store.backup.save import Saved, save
from central.store.backup.vault import OBJECTS, Vault, objects
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Base, Enrolment, Frame, Job, Setting
from protocols.messages import Assessment, FrameMessage, Selection, utc_now


def message(number: int) -> FrameMessage:
    image = bytes([65 + number]) * 5000
    return FrameMessage(
        id=f"01a1fd90-ef51-7c70-995c-{number:012x}", node="n1", boot="b1", sequence=number, index=number, camera="c",
        site="s", time=utc_now(), width=8, height=8, assessment=Assessment(), sha256=hashlib.sha256(image).hexdigest(),
        image=image, selection=Selection(keep=True, probability=0.5, reason="x", policy="budget"),
    )  # fmt: skip


class Centre:
    """A data folder with rows of every awkward kind, two images and a key."""

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.folder = folder
        folder.mkdir()
        shutil.copy(migrated, folder / "central.db")
        (folder / "keys").mkdir()
        (folder / "keys" / "online.pem").write_bytes(b"secret")
        (folder / "keys" / "online.pem").chmod(0o600)
        (folder / "keys" / "lock").write_bytes(b"")
        self.db = databases.connect(databases.sqlite_url(folder / "central.db"))
        self.blobs = stores.connect(None, folder / "blobs")
        self.vault = Vault(folder.parent / "vault")

    async def add(self, *numbers: int) -> None:
        await frames.store(self.db, self.blobs, Checked([message(n) for n in numbers]))

    async def save(self) -> Saved:
        return await save(self.folder, self.db, self.blobs, self.vault)


@pytest.fixture
async def centre(tmp_path: Path, migrated: Path) -> AsyncIterator[Centre]:
    made = Centre(tmp_path / "centre", migrated)
    await made.add(0, 1)
    async with made.db.write() as session:
        session.add(Setting(key="none", value=None))
        session.add(Setting(key="deep", value={"a": [1, None, "é"], "b": 0.1}))
        session.add(Enrolment(serial="5e", node="n1", expires=datetime(2026, 1, 2, 3, 4, 5, 678, UTC)))
        session.add_all([Job(id="a", function="f", result=None), Job(id="b", function="f", result=null())])
    yield made
    await made.db.close()


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, as the file has them."""
    found = {}
    async with database.read() as session:
        for table in Base.metadata.sorted_tables:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            key = ", ".join(column.name for column in table.primary_key.columns)
            got = await session.execute(text(f'SELECT {names} FROM "{table.name}" ORDER BY {key}'))
            found[table.name] = [tuple(row) for row in got]
    return found


async def restored(vault: Vault, folder: Path, name: str | None = None) -> tuple[Database, Blobs]:
    manifest = vault.read(name)
    with bring.beside(folder) as scratch:
        bring.files(vault, manifest, scratch, scratch / "blobs", lambda *_: None)
        database = databases.connect(databases.sqlite_url(scratch / "central.db"))
        try:
            await bring.database(vault, manifest, database, lambda *_: None)
        finally:
            await database.close()
    return databases.connect(databases.sqlite_url(folder / "central.db")), stores.connect(None, folder / "blobs")


async def test_restore__rows_images_and_files_are_as_they_were(centre: Centre, tmp_path: Path) -> None:
    done = await centre.save()
    assert done.missing == 0
    database, blobs = await restored(centre.vault, tmp_path / "again")
    assert await everything(database) == await everything(centre.db)
    async with database.read() as session:
        keys = list(await session.scalars(select(Frame.blob)))
    assert sorted({(await blobs.read(key))[:1] for key in keys}) == [b"A", b"B"]
    key = tmp_path / "again" / "keys" / "online.pem"
    assert (key.read_bytes(), key.stat().st_mode & 0o777) == (b"secret", 0o600)
    assert not (tmp_path / "again" / "keys" / "lock").exists()
    await database.close()


async def test_save__what_is_there_is_not_written_again(centre: Centre) -> None:
    first = await centre.save()
    second = await centre.save()
    assert second.written < 0.2 * first.written
    assert len(centre.vault.names()) == 2


async def test_restore__an_older_backup_is_what_it_was_then(centre: Centre, tmp_path: Path) -> None:
    before = await everything(centre.db)
    first = await centre.save()
    await centre.add(2)
    await centre.save()
    database, _ = await restored(centre.vault, tmp_path / "again", first.name)
    assert await everything(database) == before
    await database.close()


async def test_save__rows_that_come_meanwhile_have_their_images_or_are_not_in_it(
    centre: Centre, tmp_path: Path
) -> None:
    async def traffic() -> None:
        for number in range(2, 20):
            await centre.add(number)

    _, done = await asyncio.gather(traffic(), centre.save())
    assert done.missing == 0
    database, blobs = await restored(centre.vault, tmp_path / "again")
    async with database.read() as session:
        for key, sha256 in await session.execute(select(Frame.blob, Frame.sha256)):
            assert hashlib.sha256(await blobs.read(key)).hexdigest() == sha256
    await database.close()


async def test_save__an_image_that_is_gone_is_counted(centre: Centre) -> None:
    for path in (centre.folder / "blobs").glob("frames/*/*.seg"):
        path.unlink()
    assert (await centre.save()).missing == 2


async def test_save__one_that_fails_leaves_those_before(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await centre.save()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    await centre.add(3)
    monkeypatch.setattr(Vault, "keep", full)
    with pytest.raises(OSError, match="No space"):
        await centre.save()
    assert centre.vault.names() == [first.name]
    monkeypatch.undo()
    centre.vault.verify(centre.vault.read())


@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
async def test_restore__a_damaged_object_leaves_nothing_behind(centre: Centre, tmp_path: Path, harm: str) -> None:
    await centre.save()
    victim = centre.vault.path(next(k.sha256 for k in centre.vault.read().files if k.path.startswith("blobs/frames")))
    data = bytearray(victim.read_bytes())
    if harm == "gone":
        victim.unlink()
    else:
        data[0] ^= 1
        victim.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    with pytest.raises(BackupError, match=r"damaged|missing"):
        await restored(centre.vault, tmp_path / "again")
    assert not list(tmp_path.glob("*again*"))
    with pytest.raises(BackupError, match=r"damaged|missing"):
        centre.vault.verify(centre.vault.read())


async def test_restore__rows_of_an_object_that_was_swapped_are_refused(centre: Centre, tmp_path: Path) -> None:
    await centre.save()
    path = next((centre.vault.folder / "backups").glob("*.json"))
    told = json.loads(path.read_text())
    frame, setting = (next(t for t in told["tables"] if t["name"] == name) for name in ("frame", "setting"))
    frame["chunks"] = setting["chunks"]
    path.write_text(json.dumps(told))
    with pytest.raises(BackupError, match="frame"):
        await restored(centre.vault, tmp_path / "again")


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "blobs/../../x", "a\0b"])
def test_restore__a_path_that_leads_outside_is_refused(tmp_path: Path, path: str) -> None:
    vault = Vault(tmp_path / "vault")
    vault.begin()
    sha256, size = vault.keep([b"x"])
    manifest = msgspec.structs.replace(EMPTY, files=(Kept(path=path, sha256=sha256, size=size),))
    with pytest.raises(BackupError, match="not made by this program"):
        bring.files(vault, manifest, tmp_path / "data", tmp_path / "data" / "blobs", lambda *_: None)
    assert not (tmp_path / "data").exists()


def test_restore__refuses_a_folder_that_is_used(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(BackupError, match="empty"):
        bring.unused(tmp_path)


async def test_restore__refuses_a_database_that_is_used(centre: Centre) -> None:
    await centre.save()
    with pytest.raises(BackupError, match="tables already"):
        await bring.database(centre.vault, centre.vault.read(), centre.db, lambda *_: None)


async def test_restore__a_backup_of_an_older_schema_becomes_this_one(centre: Centre, tmp_path: Path) -> None:
    centre.vault.begin()
    packed = zstandard.compress(msgspec.msgpack.encode([["k", "1", datetime(2026, 1, 1, tzinfo=UTC)]]))
    sha256, _ = centre.vault.keep([packed])
    table = Table(name="setting", columns=("key", "value", "updated"), rows=1, chunks=(sha256,))
    centre.vault.write(msgspec.structs.replace(EMPTY, tables=(table,), revision="0009"))
    database, _ = await restored(centre.vault, tmp_path / "again")
    async with database.read() as session:
        assert (await session.get_one(Setting, "k")).value == 1
        assert list(await session.scalars(select(Job))) == []
    await database.close()


async def test_prune__keeps_what_the_newest_need(centre: Centre, tmp_path: Path) -> None:
    await centre.save()
    await centre.add(5)
    last = await centre.save()
    before = len(list((centre.vault.folder / OBJECTS).glob("??/*")))
    assert centre.vault.prune(1) == 1
    assert centre.vault.names() == [last.name]
    assert len(list((centre.vault.folder / OBJECTS).glob("??/*"))) == len(objects(centre.vault.read())) < before
    centre.vault.verify(centre.vault.read())


async def test_save__images_of_an_object_store_come_back_into_one(centre: Centre, tmp_path: Path) -> None:
    far, other = stores.connect("memory:", tmp_path), stores.connect("memory:", tmp_path)
    await frames.store(centre.db, far, Checked([message(7)]))
    async with centre.db.read() as session:
        key = await session.scalar(select(Frame.blob).where(Frame.index == 7))
    assert key is not None
    done = await save(centre.folder, centre.db, far, centre.vault)
    assert done.missing == 2  # those in the folder are not in this store
    manifest = centre.vault.read()
    await bring.blobs(centre.vault, manifest, other, lambda *_: None)
    assert (await other.read(key))[:1] == b"H"


EMPTY = msgspec.json.decode(
    b'{"format": 1, "at": "20260101T000000.0Z", "version": "0", "revision": "0011", "database": "sqlite",'
    b' "tables": [], "files": [], "blobs": []}',
    type=Manifest,
)
