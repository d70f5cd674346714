"""Snapshots: the same labels are the same one, nothing changes them, and what differs between two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from central.annotate import datasets, exchange, queue
from central.annotate.boxes import LabelBox
from central.annotate.datasets import BLOCK, HELD_BACK, SnapshotError, Tally, held_back
from central.annotate.exchange import Project
from central.annotate.formats import kinds
from central.store.database import Database
from central.store.models import LabelRevision, Snapshot

KNOWN, TAGS = ("car", "bus"), ("rain",)
CAR, BUS = LabelBox((1, 2, 30, 40), "car"), LabelBox((5, 5, 20, 20), "bus")
MOVED = LabelBox((2, 2, 30, 40), "car")


async def answer(db: Database, frame: str, revision: int, *boxes: LabelBox, **more: Any) -> None:
    async with db.write() as session:
        await queue.label(session, queue.Answer(frame, revision, "import", boxes, source="import", **more), KNOWN, TAGS)


async def take(db: Database, name: str = "") -> str:
    return await db.run_write(lambda session: datasets.take(session, name, "maria").address)


@given(st.text(max_size=30), st.integers(0, 10_000))
def test_held_back__exactly_one_block_in_five(camera: str, stretch: int) -> None:
    first = stretch * HELD_BACK * BLOCK
    held = [held_back(camera, first + i) for i in range(HELD_BACK * BLOCK)]
    assert sum(held) == BLOCK
    assert sum(b != a for a, b in zip([False, *held], [*held, False], strict=True)) == 2, "in one piece"


@given(st.text(max_size=30), st.integers(0, BLOCK - 1))
def test_held_back__never_the_first_block(camera: str, index: int) -> None:
    assert not held_back(camera, index)


async def test_take__same_labels_same_snapshot(db: Database, add_frame: Any) -> None:
    frame = await add_frame(1)
    await answer(db, frame, 0, CAR)
    first = await take(db)
    assert await take(db, "again") == first
    await answer(db, frame, 1, CAR, BUS)
    assert await take(db) != first


async def test_take__only_what_is_labelled(db: Database, add_frame: Any) -> None:
    await add_frame(1)
    address = await take(db)
    row = await db.run_read(lambda session: datasets.find(session, address[:8]))
    assert (row.frames, row.labels) == (0, 0)


@pytest.mark.parametrize("address", ["nix", "0" * 64, "%", ""])
async def test_find__missing(db: Database, address: str) -> None:
    await take(db)
    with pytest.raises(SnapshotError):
        await db.run_read(lambda session: datasets.find(session, address))


async def test_difference__by_class_and_camera(db: Database, add_frame: Any) -> None:
    a, b, c = [await add_frame(n) for n in (1, 2, 3)]
    await answer(db, a, 0, CAR, complete_for=["car"])
    await answer(db, b, 0, CAR)
    first = await take(db)
    await answer(db, a, 1, MOVED, BUS, complete_for=["car", "bus"], tags={"rain": "present"})
    await answer(db, c, 0, BUS)
    second = await take(db)
    found = await db.run_read(lambda session: datasets.difference(session, first, second))
    assert found.frames == Tally(added=1, changed=1, before=2, after=3)
    assert found.labels == {"car": Tally(changed=1, before=2, after=2), "bus": Tally(added=2, before=0, after=2)}
    assert found.cameras == {"n1/c1": Tally(added=2, changed=1, before=2, after=4)}
    assert found.tags == {"rain": Tally(added=1, after=1)}
    assert found.complete_for == {"car": Tally(before=1, after=1), "bus": Tally(added=1, after=1)}
    assert found.examples == {"added": [c], "removed": [], "changed": [a]}
    back = await db.run_read(lambda session: datasets.difference(session, second, first))
    assert (back.frames.removed, back.labels["bus"].removed) == (1, 2)


async def test_verify__finds_what_was_spoiled(db: Database, add_frame: Any) -> None:
    frame = await add_frame(1)
    await answer(db, frame, 0, CAR)
    address = await take(db)
    assert await db.run_read(lambda session: datasets.verify(session, address)) == []
    async with db.write() as session:
        await session.execute(delete(LabelRevision))
    (problem,) = await db.run_read(lambda session: datasets.verify(session, address))
    assert frame in problem
    async with db.write() as session:
        await session.execute(update(Snapshot).values(items=[]))
    assert "its address" in (await db.run_read(lambda session: datasets.verify(session, address)))[0]


async def test_export__labels_as_they_were(db: Database, add_frame: Any, tmp_path: Path) -> None:
    frame = await add_frame(1)
    await answer(db, frame, 0, CAR, tags={"rain": "present"})
    address = await take(db)
    await answer(db, frame, 1, BUS)
    coco, project = kinds()["coco"], Project(KNOWN, TAGS)
    await exchange.take_out(db, coco, tmp_path / "then.json", project, address)
    await exchange.take_out(db, coco, tmp_path / "now.json", project)
    (then,), (now,) = (coco.read(tmp_path / name).loaded().pictures for name in ("then.json", "now.json"))
    assert ([b.label for b in then.boxes], then.tags) == (["car"], {"rain": "present"})
    assert ([b.label for b in now.boxes], now.tags) == (["bus"], {})
