"""The sweep: what no row refers to comes back to the disk, and nothing else, however the writers stand."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from central.ingest import frames
from central.ingest.frames import Checked
from central.store import blobs as stores
from central.store import database as databases
from central.store import segments, sweep
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.migrations import migrate
from protocols.messages import Assessment, FrameMessage, Selection, utc_now
from tests.servers.s3 import S3

NOW = -1.0
"""Any age will do."""


@pytest.fixture
def database(db: Database) -> Database:
    return db


def message(number: int, size: int = 20_000) -> FrameMessage:
    image = bytes([65 + number]) * size
    return FrameMessage(
        id=f"01a1fd90-ef51-7c70-995c-{number:012x}", node="n1", boot="b1", sequence=number, index=number, camera="c",
        site="s", time=utc_now(), width=8, height=8, assessment=Assessment(), sha256=hashlib.sha256(image).hexdigest(),
        image=image, selection=Selection(keep=True, probability=1.0, reason="x", policy="budget"),
    )  # fmt: skip


async def store(database: Database, blobs: Blobs, *numbers: int) -> None:
    stored = await frames.store(database, blobs, Checked([message(n) for n in numbers]))
    assert stored.new == len(numbers)


async def images(database: Database, blobs: Blobs) -> dict[str, bytes]:
    rows = await database.run_read(lambda session: list(session.execute(frames._FRAMES.select())))
    return {row.id: await blobs.read(row.blob) for row in rows}


def held(root: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in root.glob("frames/*/*.seg"))


async def test_sweep__gives_back_ends_gaps_and_whole_segments(database: Database, tmp_path: Path) -> None:
    root, gap = tmp_path / "blobs", os.urandom(10 * sweep.BLOCK)
    blobs = stores.connect(None, root)
    assert await sweep.sweep(database, blobs, NOW) == sweep.Swept(0, 0, 0)
    await store(database, blobs, 0)
    blobs.settle(await blobs.keep([("a", gap)]))
    await store(database, blobs, 1)
    blobs.settle(await blobs.keep([("b", gap)]))
    blobs.close()
    blobs.settle(await blobs.keep([("c", gap)]))
    blobs.close()
    before, wanted = held(root), await images(database, blobs)
    swept = await sweep.sweep(database, blobs, NOW)
    assert swept is not None and (swept.segments, swept.deleted) == (2, 1)
    assert swept.bytes == before - held(root) >= 3 * len(gap) - 4 * sweep.BLOCK
    assert await images(database, blobs) == wanted
    assert await sweep.sweep(database, blobs, NOW) == sweep.Swept(1, 0, 0)


async def test_sweep__what_a_dead_writer_had_reserved_comes_back(database: Database, tmp_path: Path) -> None:
    blobs = stores.connect(None, tmp_path / "blobs")
    await sweep.sweep(database, blobs, NOW)
    await store(database, blobs, 0)
    assert blobs._segments is not None
    os.close(blobs._segments._handle)  # as a kill does
    swept = await sweep.sweep(database, blobs, NOW)
    assert swept is not None and swept.bytes >= segments.RESERVE_FIRST // 2
    assert len(await images(database, blobs)) == 1


async def test_sweep__a_young_segment_is_left_alone(database: Database, tmp_path: Path) -> None:
    blobs = stores.connect(None, tmp_path / "blobs")
    await sweep.sweep(database, blobs)
    blobs.settle(await blobs.keep([("a", b"x" * 50_000)]))
    blobs.close()
    assert await sweep.sweep(database, blobs) == sweep.Swept(0, 0, 0)


async def between(database: Database, root: Path) -> None:
    """Sweep while an image is stored and its row is not."""
    blobs = stores.connect(None, root)
    await sweep.sweep(database, blobs, NOW)
    real = blobs.keep

    async def keep(items: Any) -> list[str]:
        keys = await real(items)
        assert blobs._segments is not None
        blobs._segments._retire()  # full: the next image goes elsewhere
        await sweep.sweep(database, blobs, NOW)
        return keys

    blobs.keep = keep  # type: ignore[method-assign]
    await store(database, blobs, 0)
    assert list((await images(database, blobs)).values()) == [message(0).image]


async def test_sweep__an_image_whose_row_is_still_to_come_is_left_alone(database: Database, tmp_path: Path) -> None:
    await between(database, tmp_path / "blobs")


async def test_sweep__one_that_does_not_ask_for_the_lock_is_found(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_unlocked", lambda path: True)
    with pytest.raises(stores.BlobError, match="not there"):
        await between(database, tmp_path / "blobs")


@pytest.mark.parametrize("first", ["another", "none"])
async def test_sweep__images_of_another_database_are_left_alone(database: Database, tmp_path: Path, first: str) -> None:
    other = databases.connect(databases.sqlite_url(tmp_path / "other.db"))
    await migrate(other.engine)
    blobs = stores.connect(None, tmp_path / "blobs")
    if first == "another":
        await sweep.sweep(other, blobs, NOW)
    await store(other, blobs, 0)
    blobs.close()
    assert await sweep.sweep(database, blobs, NOW) is None
    assert len(await images(other, blobs)) == 1
    await other.close()


async def test_sweep__a_mark_that_was_not_written_is_written_again(database: Database, tmp_path: Path) -> None:
    blobs = stores.connect(None, tmp_path / "blobs")
    await sweep.sweep(database, blobs, NOW)
    (tmp_path / "blobs" / sweep.OWNER).unlink()
    await store(database, blobs, 0)
    assert await sweep.sweep(database, blobs, NOW) is not None
    assert (tmp_path / "blobs" / sweep.OWNER).exists()
    blobs.close()


async def test_sweep__elsewhere_there_is_nothing_to_do(database: Database, tmp_path: Path) -> None:
    assert await sweep.sweep(database, stores.connect("memory:", tmp_path), NOW) is None


async def test_sweep__on_s3_deletes_what_no_row_names_and_is_not_young(
    database: Database, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = s3.create()
    blobs = stores.connect(s3.url(bucket), tmp_path / "blobs")
    assert await sweep.sweep(database, blobs, NOW) == sweep.Swept(0, 0, 0)
    await store(database, blobs, 0, 1)
    await blobs.keep([("a", b"left by a kill")])
    before = await images(database, blobs)
    assert await sweep.sweep(database, blobs, 3600.0) == sweep.Swept(0, 0, 0)
    assert await sweep.sweep(database, blobs, -5.0) == sweep.Swept(2, 1, 14)
    assert await images(database, blobs) == before
    assert len(s3.keys(bucket)) == 2  # the mark, and one bundle


async def test_sweep__on_s3_leaves_what_is_anothers(
    database: Database, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    blobs = stores.connect(s3.url(s3.create()), tmp_path / "blobs")
    await blobs.put([("owner", b"somebody else")])
    assert await sweep.sweep(database, blobs, NOW) is None
