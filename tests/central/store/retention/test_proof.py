"""Deleting leaves nothing, and what it leaves behind proves it. Each check has a twin where something was left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select, update

from central.store import blobs as stores
from central.store import sweep
from central.store.blobs import BlobError
from central.store.models import (
    Annotation,
    AuditEntry,
    Camera,
    Deletion,
    DeletionRun,
    Frame,
    LabelRevision,
    Setting,
)
from central.store.retention import RetentionError, away, record
from central.store.retention.run import LAST
from central.store.retention.verify import look
from central.store.search import FrameIndex, Query
from protocols.trust import keys
from tests.central.store.retention.world import NOW, World, frame_id, image


async def left(world: World) -> list[str]:
    return (await look(world.db, world.blobs, world.data, await world.log())).left


async def gone(world: World, *numbers: int) -> None:
    """Have frames `numbers` deleted, and one more that stays."""
    for number in numbers:
        await world.make(number, "pending", 31)
    await world.make(60, "pending", 1)
    await world.rule(unlabelled_days=30)
    await world.run()


async def test_run__nothing_is_left(world: World) -> None:
    await gone(world, 1, 2, 3)
    found = await look(world.db, world.blobs, world.data, await world.log())
    assert (found.left, found.items, found.images) == ([], 3, 3)
    segment = next((world.data / "blobs").glob("frames/*/*.seg")).read_bytes()
    assert image(1)[:40] not in segment and image(60) in segment
    async with world.db.read() as session:
        assert await session.scalar(select(Camera.last_frame_id)) in (None, frame_id(60))
        assert (await session.get_one(Setting, LAST)).value["frames"] == 3


async def plant_image(world: World, _: Sequence[Any]) -> None:
    """The images were not taken away."""


async def twin_image(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "images", plant_image)
    await gone(world, 1)


async def twin_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await gone(world, 1)
    async with world.db.write() as session:
        row = await session.get_one(Frame, frame_id(60))
        values = {c.key: getattr(row, c.key) for c in Frame.__table__.columns}
        session.add(Frame(**(values | {"id": frame_id(1), "sequence": 999})))


async def twin_same_image(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await gone(world, 1)
    async with world.db.write() as session:
        deleted = await session.scalar(select(Deletion.sha256))
        await session.execute(update(Frame).values(sha256=deleted))


async def twin_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivered twice, killed in between: a copy that no row refers to, between images that some do."""
    await world.blobs.keep([("a", image(59)), ("b", image(1)), ("c", image(58))])
    await gone(world, 1)


async def twin_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await gone(world, 1)
    (world.data / "cache").mkdir()
    (world.data / "cache" / "thumbnail.bin").write_bytes(image(1))


async def twin_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await gone(world, 1)
    (world.data / f"{frame_id(1)}.json").write_bytes(b"{}")


async def twin_reference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is no part of the schema, and keeps what it knows of the frame."""
    if world.db.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite can be told to overlook a reference to nothing")
    await gone(world, 1)
    with closing(sqlite3.connect(str(world.db.engine.url.database))) as file:
        file.execute("CREATE TABLE strange (shows VARCHAR(36) REFERENCES frame (id))")
        file.execute("INSERT INTO strange VALUES (?)", (frame_id(1),))
        file.commit()


async def twin_picture(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await gone(world, 1)
    async with world.db.write() as session:
        await session.execute(update(Camera).values(last_frame_id=frame_id(1)))


TWINS: list[tuple[Callable[[World, pytest.MonkeyPatch], Any], str]] = [
    (twin_image, "its image is at"),
    (twin_row, "its row is there"),
    (twin_same_image, "is the same image"),
    (twin_copy, "a copy of its image is in"),
    (twin_file, "thumbnail.bin is its image"),
    (twin_name, "is named by it"),
    (twin_reference, "strange.shows refers to it"),
    (twin_picture, "it is the picture of camera"),
]


@pytest.mark.parametrize(("twin", "says"), TWINS)
async def test_look__finds_what_a_broken_run_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch, twin: Callable[..., Any], says: str
) -> None:
    await twin(world, monkeypatch)
    assert any(says in each for each in await left(world))


async def test_look__a_copy_is_gone_after_the_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await twin_copy(world, monkeypatch)
    world.blobs.close()
    await sweep.sweep(world.db, world.blobs, -1.0)
    assert await left(world) == []


async def test_run__copies_in_the_folders_of_rounds_go(world: World) -> None:
    folder = world.data / "rounds" / "r1" / "images"
    folder.mkdir(parents=True)
    for number in (1, 60):
        (folder / f"{frame_id(number)}.jpg").write_bytes(image(number))
    await gone(world, 1)
    assert [path.stem for path in folder.iterdir()] == [frame_id(60)]


async def test_run__killed_before_the_images_the_next_one_takes_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise BlobError("killed")

    with monkeypatch.context() as patch, pytest.raises(BlobError):
        patch.setattr(away, "images", killed)
        await gone(world, 1, 2, 3)
    assert 60 in await world.there() and len(await world.there()) < 4
    done = await world.run()
    assert await world.there() == [60] and done.number == 1
    assert await left(world) == []
    assert record.check(await world.log(), [world.key]).problems == ()


async def test_store__a_deleted_frame_gets_its_receipt_and_stays_away(world: World) -> None:
    await gone(world, 1)
    stored = await world.add(1, 2)
    assert stored.new == 1 and sorted(stored.receipts["node-north"]) == [frame_id(1), frame_id(2)]
    assert await world.there() == [2, 60]
    assert await left(world) == []


async def test_index__forgets(world: World) -> None:
    await world.make(1, "pending", 31)
    await world.make(2, "labelled", 31)
    index = FrameIndex()
    await world.db.run_read(index.refresh)
    await gone(world, 3)
    await world.db.run_read(index.refresh)
    found = index.search(Query())
    assert (sorted(found.ids), found.total) == ([frame_id(2), frame_id(60)], 2)
    assert frame_id(1) not in index and len(index) == 2
    facets = index.facets()
    assert (facets.frames, facets.embeddings, sum(c.frames for c in facets.cameras)) == (2, 2, 2)
    assert index.search(Query(like=frame_id(2))).ids == [frame_id(60)]
    await world.rule(labels_days=3)
    await world.run()
    await world.db.run_read(index.refresh)
    assert index.search(Query(label="car", kind="label")).ids == []


async def test_run__labels_go_and_the_frame_stays(world: World) -> None:
    await world.make(1, "labelled", 31)
    await world.rule(labels_days=30)
    done = await world.run()
    assert (done.labels, done.frames) == (1, 0)
    async with world.db.read() as session:
        frame = await session.get_one(Frame, frame_id(1))
        assert (frame.state, frame.labelled_by, frame.revision) == ("skipped", None, 2)
        for table in (LabelRevision, Annotation):
            assert await session.scalar(select(func.count()).select_from(table)) == 0
    assert (await world.run()).number is None


async def test_run__old_entries_of_the_audit_log_go(world: World) -> None:
    async with world.db.write() as session:
        session.add_all(AuditEntry(at=NOW - timedelta(days=d), action="x", target="y", status=200) for d in (1, 99))
    await world.rule(audit_days=30)
    assert (await world.run()).audit == 1
    async with world.db.read() as session:
        actions = list(await session.scalars(select(AuditEntry.action)))
        number, digest = (await session.execute(select(DeletionRun.number, DeletionRun.hash))).one()
    assert sorted(actions) == ["retention_run", "x"] and number == 1
    async with world.db.read() as session:
        assert digest in str(await session.scalar(select(AuditEntry.target).where(AuditEntry.action != "x")))
    assert await left(world) == []


# --- the chain --------------------------------------------------------------------------------------------------------


async def three_runs(world: World) -> Path:
    for number in (1, 2, 3):
        await gone(world, number)
    return await world.log()


async def test_check__a_whole_log_is_sound(world: World) -> None:
    checked = record.check(await three_runs(world), [world.key])
    assert (checked.runs, checked.items, checked.first, checked.problems) == (3, 3, 1, ())


def change(lines: list[bytes], at: int, **fields: Any) -> list[bytes]:
    plain = msgspec.json.decode(lines[at])
    plain.get("run", plain).update(fields)
    return [*lines[:at], msgspec.json.encode(plain), *lines[at + 1 :]]


CHANGED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "an item": (lambda lines: change(lines, 2, camera="c9"), "run 1: its items"),
    "an item taken out": (lambda lines: lines[:2] + lines[3:], "run 1: its items"),
    "a run taken out": (lambda lines: lines[:3] + lines[5:], "run 3: it does not follow run 1"),
    "who": (lambda lines: change(lines, 3, by="me"), "run 2: its fields"),
    "a hash": (lambda lines: change(lines, 3, hash="0" * 64), "run 2: its fields"),
    "a signature": (lambda lines: change(lines, 3, signature="00" * 64), "run 2: the signature"),
    "another key": (lambda lines: change(lines, 3, key="11" * 32), "run 2: the signature"),
    "the first run": (lambda lines: change(lines, 1, previous="1" * 64), "run 1: its fields"),
}


@pytest.mark.parametrize("what", CHANGED)
async def test_check__notices_what_was_changed(world: World, what: str) -> None:
    path = await three_runs(world)
    how, says = CHANGED[what]
    path.write_bytes(b"\n".join(how(path.read_bytes().splitlines())) + b"\n")
    assert any(problem.startswith(says) for problem in record.check(path, [world.key]).problems)


async def test_check__a_key_of_somebody_else_does_not_count(world: World, tmp_path: Path) -> None:
    path = await three_runs(world)
    other = record.public(keys.make(tmp_path / "other.pem"))
    assert "not known here" in record.check(path, [other]).problems[0]


async def test_check__what_is_no_log_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x"
    head = b'{"format": 1}\n'
    for text, says in ((b"hello\n", "line 1"), (b'{"format": 9}\n', "format 9"), (head + b'{"a": 1}\n', "line 2")):
        path.write_bytes(text)
        with pytest.raises(RetentionError, match=says):
            record.check(path, [])


async def test_export__since_a_run(world: World) -> None:
    await three_runs(world)
    checked = record.check(await world.log("late.jsonl", since=2), [world.key])
    assert (checked.first, checked.runs, checked.problems) == (2, 2, ())


async def test_look__in_memory_too(world: World) -> None:
    world.blobs = stores.connect("memory:", world.data)
    await gone(world, 1)
    assert await left(world) == []
