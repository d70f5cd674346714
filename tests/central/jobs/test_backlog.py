"""A backlog: every open frame once, whatever is delivered twice, lost, or unreadable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import func, select, update

from central.jobs import backlog, scoring
from central.jobs.backlog import BacklogError, Tally, work_off
from central.jobs.scoring import Item, Scorer, Seen, Sight
from central.jobs.writing import Writer
from central.store import blobs as blob_store
from central.store.database import Database
from central.store.models import Annotation, Frame, Node
from edge.runtime import packs
from protocols.pack import Pack, archive


def ident(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-000000000000"


@pytest.fixture(scope="session")
def base() -> Pack:
    """The pack that ships."""
    return packs.find("base", packs.cache())


async def fill(db: Database, count: int, **columns: Any) -> None:
    """Add `count` frames that wait, and note every write of a proposal's origin in a table of its own."""
    async with db.write() as session:
        session.add(Node(name="n1", site="north", state="online"))
        await session.flush()
        values = {
            "node": "n1", "camera": "c1", "boot": "b1", "captured_at": datetime(2026, 1, 1, tzinfo=UTC), "width": 64,
            "height": 48, "size_bytes": 9, "sha256": "0" * 64, "blob": "b.jpg",
        } | columns  # fmt: skip
        session.add_all(Frame(id=ident(n), sequence=n, value=n / 1000, **values) for n in range(count))
        await session.flush()
        session.add_all(
            Annotation(frame=ident(n), x1=0, y1=0, x2=9, y2=9, label="car", source="node", score=0.4)
            for n in range(count)
        )


def look(items: Sequence[Item]) -> list[Seen]:
    """See one car in each."""
    return [Seen(item.id, [(1.0, 2.0, 30.0, 40.0)], [0.9], [1]) for item in items]


def plain(items: Sequence[Item], _sight: Sight) -> Iterator[list[Seen]]:
    """Three batches."""
    for start in range(0, len(items), 4):
        yield look(items[start : start + 4])


def twice(items: Sequence[Item], sight: Sight) -> Iterator[list[Seen]]:
    """Each batch two times, as a retry may deliver it."""
    for batch in plain(items, sight):
        yield batch
        yield batch


def lossy(items: Sequence[Item], sight: Sight) -> Iterator[list[Seen]]:
    """The first batch only: the others died with their actors."""
    yield next(plain(items, sight))


class Forgetful(Writer):
    """A planted bug: it writes whatever it is given."""

    async def write(self, seen: Sequence[Seen]) -> tuple[int, int]:
        async with self._database.write() as session:
            for one in seen:
                given = {"proposed_by": self._by.name}
                await session.execute(update(Frame).where(Frame.id == one.id).values(given))
                session.add(Annotation(frame=one.id, x1=1, y1=2, x2=3, y2=4, label="car", source="pack", score=0.9))
        return len(seen), len(seen)


async def once_each(db: Database) -> bool:
    """Whether every frame has exactly the one proposal that the pack makes."""
    query = select(func.count(Annotation.id)).where(Annotation.source == "pack").group_by(Annotation.frame)
    async with db.read() as session:
        counts = list(await session.scalars(query))
        frames = await session.scalar(select(func.count()).select_from(Frame))
        others = await session.scalar(select(func.count()).select_from(Annotation).where(Annotation.source != "pack"))
    return counts == [1] * int(frames or 0) and not others


async def off(db: Database, base: Pack, stream: backlog.Stream, **given: Any) -> Tally:
    names = base.manifest.labels
    return await work_off(db, base, names, Sight(b"", None, ""), stream, lambda step: None, **given)


@pytest.mark.parametrize(("stream", "passes"), [(plain, 1), (twice, 1), (lossy, 3)])
async def test_work_off__every_frame_once(db: Database, base: Pack, stream: backlog.Stream, passes: int) -> None:
    await fill(db, 10)
    tally = await off(db, base, stream)
    assert (tally.written, tally.boxes, tally.passes) == (10, 10, passes)
    assert await once_each(db)


async def test_work_off__a_writer_that_forgets_is_found(db: Database, base: Pack) -> None:
    await fill(db, 10)
    await off(db, base, twice, make=Forgetful)
    assert not await once_each(db)


async def test_work_off__goes_on_where_it_was(db: Database, base: Pack) -> None:
    await fill(db, 10)
    assert (await off(db, base, plain, limit=4)).written == 4
    assert (await off(db, base, plain)).written == 6
    assert (await off(db, base, plain)).written == 0


async def test_work_off__most_valuable_first(db: Database, base: Pack) -> None:
    await fill(db, 10)
    await off(db, base, plain, limit=2)
    async with db.read() as session:
        done = set(await session.scalars(select(Frame.id).where(Frame.proposed_by == base.address)))
    assert done == {ident(9), ident(8)}


async def test_work_off__leaves_what_was_answered(db: Database, base: Pack) -> None:
    await fill(db, 3, state="labelled")
    assert (await off(db, base, plain)).written == 0


async def test_work_off__unreadable_frames_are_told_and_left(db: Database, base: Pack) -> None:
    await fill(db, 5)

    def broken(items: Sequence[Item], _sight: Sight) -> Iterator[list[Seen]]:
        yield [Seen(item.id, trouble="not an image") if item.id == ident(2) else look([item])[0] for item in items]

    found = (await off(db, base, broken)).result()
    assert (found["changed"], found["unreadable"], found["troubles"]) == (4, 1, ["not an image"])


async def test_work_off__gives_up_where_nothing_comes(db: Database, base: Pack) -> None:
    await fill(db, 5)
    with pytest.raises(BacklogError, match="5 frames stay open"):
        await off(db, base, lambda items, sight: iter(()))


@pytest.mark.parametrize("closely", [True, False])
async def test_run__in_this_process(db: Database, base: Pack, tmp_path: Path, closely: bool) -> None:
    await fill(db, 3)
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    store = blob_store.connect(None, tmp_path / "blobs")
    await store.put([("b.jpg", cv2.imencode(".jpg", image)[1].tobytes())])
    steps: list[Any] = []
    found = await asyncio.to_thread(
        backlog.run, list(base.manifest.labels), str(base.folder), f"sqlite:///{tmp_path / 'central.db'}", None,
        str(tmp_path / "blobs"), steps.append, closely=closely,
    )  # fmt: skip
    assert (found["changed"], found["frames"], found["where"]) == (3, 3, "this machine")
    assert steps[-1]["progress"] == 1.0
    async with db.read() as session:
        assert await session.scalar(select(func.count()).where(Frame.proposed_by.is_(None))) == 0


def test_scorer__says_what_it_cannot_read(base: Pack, tmp_path: Path) -> None:
    scorer = Scorer(Sight(archive(base), None, str(tmp_path / "blobs")))
    try:
        seen = scorer.look([Item("f", "nowhere.jpg")])
    finally:
        scorer.close()
    assert "nowhere.jpg" in seen[0].trouble


def test_cluster_cores__none_here() -> None:
    assert scoring.cluster_cores() == 0
