"""Deletions outlive a restore of an older backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import update

from central.store import blobs as stores
from central.store import database as databases
from central.store.models import DeletionRun
from central.store.retention import RetentionError, again, record
from central.store.retention.verify import look
from tests.central.store.retention.world import World, frame_id


async def older(world: World, tmp_path: Path) -> World:
    """Return a copy of the centre as it was before anything was deleted, while `world` deletes 1 and 2, then 3."""
    if world.db.engine.dialect.name != "sqlite":
        pytest.skip("copies a database's file")
    file = Path(str(world.db.engine.url.database))
    for number in (1, 2, 3):
        await world.make(number, "pending", 31)
    await world.make(4, "labelled", 31)
    record.signer(world.data)
    copy = tmp_path / "copy"
    shutil.copytree(world.data, copy)
    await world.db.run_read(lambda s: s.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())
    shutil.copy(file, tmp_path / "older.db")
    await world.rule(unlabelled_days=30, labels_days=30)
    await world.run()
    await world.make(5, "pending", 31)
    await world.run()
    old = databases.connect(databases.sqlite_url(tmp_path / "older.db"))
    return World(old, stores.connect(None, copy / "blobs"), copy)


async def test_apply__deletes_again_and_goes_on_with_the_chain(world: World, tmp_path: Path) -> None:
    old, log = await older(world, tmp_path), await world.log()
    assert await old.there() == [1, 2, 3, 4]
    assert (await look(old.db, old.blobs, old.data, log)).left
    done = await again.apply(old.db, old.blobs, old.data, log, [world.key])
    assert (done.frames, done.labels, done.runs) == (3, 1, 2)
    assert await old.there() == [4]
    assert (await look(old.db, old.blobs, old.data, log)).left == []
    assert (await old.add(1)).new == 0
    await old.make(7, "pending", 31)
    await old.rule(unlabelled_days=30)
    assert (await old.run()).number == 3
    assert record.check(await old.log(), [world.key]).problems == ()
    done = await again.apply(old.db, old.blobs, old.data, log, [world.key])
    assert (done.frames, done.labels, done.runs) == (0, 0, 0)
    await old.db.close()


async def test_apply__twin_without_taking_images_away_is_found(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, log = await older(world, tmp_path), await world.log()

    async def nothing(*_: object) -> None:
        """Take nothing away."""

    monkeypatch.setattr(again.away, "images", nothing)
    await again.apply(old.db, old.blobs, old.data, log, [world.key])
    assert any(frame_id(1) in each for each in (await look(old.db, old.blobs, old.data, log)).left)
    await old.db.close()


async def test_apply__refuses_a_log_that_does_not_follow(world: World, tmp_path: Path) -> None:
    old, log = await older(world, tmp_path), await world.log(since=2)
    with pytest.raises(RetentionError, match="do not follow"):
        await again.apply(old.db, old.blobs, old.data, log, [world.key])
    with pytest.raises(RetentionError, match="not known here"):
        await again.apply(old.db, old.blobs, old.data, log, [])
    whole = await world.log()
    async with world.db.write() as session:
        await session.execute(update(DeletionRun).where(DeletionRun.number == 2).values(hash="0" * 64))
    with pytest.raises(RetentionError, match="do not follow"):
        await again.apply(world.db, world.blobs, world.data, whole, [world.key])
    assert await old.there() == [1, 2, 3, 4]
    await old.db.close()
