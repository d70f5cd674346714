"""The index of all frames: conditions, order, pages, likeness, and keeping up with the database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from central.annotate import queue
from central.annotate.boxes import LabelBox
from central.store.database import Database
from central.store.models import Annotation, Frame, Node
from central.store.search import Found, FrameIndex, Query, SearchError

START = datetime(2026, 1, 1, tzinfo=UTC)
Add = Callable[..., Coroutine[Any, Any, str]]


def frame_id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-000000000000"


def unit(*values: float) -> bytes:
    vector = np.array(values, "<f4")
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


@pytest.fixture
def add(db: Database) -> Add:
    """A function that stores a frame with boxes (label, score, confirmed)."""

    async def make(number: int, *boxes: tuple[str, float | None, bool], camera: str = "c1", **columns: Any) -> str:
        frame = frame_id(number)
        async with db.write() as session:
            if await session.get(Node, "n1") is None:
                session.add(Node(name="n1"))
                await session.flush()
            session.add(
                Frame(
                    id=frame, node="n1", camera=camera, boot="b", sequence=number, width=64, height=48, size_bytes=9,
                    captured_at=START + timedelta(minutes=number), sha256=f"{number:064x}", blob="x", **columns,
                )
            )  # fmt: skip
            await session.flush()
            session.add_all(
                Annotation(frame=frame, x1=0, y1=0, x2=9, y2=9, label=label, source="node", score=s, confirmed=sure)
                for label, s, sure in boxes
            )
        return frame

    return make


async def ask(db: Database, index: FrameIndex, **query: Any) -> Found:
    await db.run_read(index.refresh)
    return index.search(Query(**query))


def numbers(found: Found) -> list[int]:
    return [int(frame[:8], 16) for frame in found.ids]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, [4, 3, 2, 1]),
        ({"camera": "c2"}, [4]),
        ({"node": "n1", "camera": "c1"}, [3, 2, 1]),
        ({"node": "nix"}, []),
        ({"site": "default"}, [4, 3, 2, 1]),
        ({"state": "labelled"}, [2]),
        ({"since": START + timedelta(minutes=3)}, [4, 3]),
        ({"until": START + timedelta(minutes=3)}, [2, 1]),
        ({"label": "car"}, [3, 2, 1]),
        ({"label": "bus"}, [3]),
        ({"label": "zebra"}, []),
        ({"label": "car", "kind": "label"}, [2]),
        ({"label": "car", "kind": "proposal"}, [3, 1]),
        ({"kind": "proposal"}, [3, 1]),
        ({"label": "car", "min_score": 0.5}, [3, 2]),
        ({"label": "car", "max_score": 0.5}, [1]),
        ({"label": "car", "min_score": 0.9, "max_score": 1.0}, [2]),
        ({"min_score": 0.3, "max_score": 0.5}, [1]),
        ({"present": ("rain",)}, [2]),
        ({"absent": ("rain",)}, [3]),
        ({"present": ("snow",)}, []),
        ({"label": "car", "camera": "c2"}, []),
    ],
)
async def test_search__conditions(db: Database, add: Add, query: dict[str, Any], wanted: list[int]) -> None:
    await add(1, ("car", 0.4, False), ("car", 0.2, False))
    await add(2, ("car", None, True), state="labelled", tags={"rain": "present"})
    await add(3, ("car", 0.8, False), ("bus", 0.6, False), tags={"rain": "absent"})
    await add(4, camera="c2")
    found = await ask(db, FrameIndex(), **query)
    assert numbers(found) == wanted
    assert found.total == len(wanted)


@pytest.mark.parametrize("like", [None, frame_id(1)])
async def test_search__pages_cover_everything_once(db: Database, add: Add, like: str | None) -> None:
    for number in range(1, 12):
        await add(number, embedding=unit(1, number // 3))  # some are equally alike
    index, seen, cursor = FrameIndex(), [], None
    while True:
        found = await ask(db, index, like=like, cursor=cursor, limit=3)
        seen += numbers(found)
        cursor = found.next
        if cursor is None:
            break
    assert sorted(seen) == [n for n in range(1, 12) if like is None or n != 1]
    assert found.total == len(seen)


async def test_search__most_alike_first(db: Database, add: Add) -> None:
    for number, angle in ((1, 0.0), (2, 1.0), (3, 0.1), (4, 0.5)):
        await add(number, embedding=unit(np.cos(angle), np.sin(angle)))
    await add(5)
    found = await ask(db, FrameIndex(), like=frame_id(1))
    assert numbers(found) == [3, 4, 2]
    assert found.likeness == pytest.approx([np.cos(0.1), np.cos(0.5), np.cos(1.0)], abs=1e-6)


@pytest.mark.parametrize(("like", "code"), [(frame_id(9), "not_found"), (frame_id(2), "no_embedding")])
async def test_search__nothing_to_be_like(db: Database, add: Add, like: str, code: str) -> None:
    await add(1, embedding=unit(1, 0))
    await add(2)
    with pytest.raises(SearchError) as caught:
        await ask(db, FrameIndex(), like=like)
    assert caught.value.code == code


async def test_refresh__takes_in_new_frames_in_any_order(db: Database, add: Add) -> None:
    index = FrameIndex()
    await add(5)
    assert numbers(await ask(db, index)) == [5]
    await add(2, ("car", 0.5, False))
    assert numbers(await ask(db, index)) == [5, 2]
    assert numbers(await ask(db, index, label="car")) == [2]


async def test_refresh__takes_in_answers(db: Database, add: Add) -> None:
    index = FrameIndex()
    frame = await add(1, ("car", 0.9, False))
    assert numbers(await ask(db, index, label="car")) == [1]
    async with db.write() as session:
        answer = queue.Answer(frame, 0, "maria", [LabelBox((1, 1, 9, 9), "bus")], tags={"rain": "present"})
        await queue.label(session, answer, ("bus",), ("rain",))
    assert numbers(await ask(db, index, label="car")) == []
    assert numbers(await ask(db, index, label="bus", kind="label", present=("rain",), state="labelled")) == [1]


async def test_refresh__takes_in_other_proposals(db: Database, add: Add) -> None:
    index = FrameIndex()
    frame = await add(1, ("car", 0.2, False))
    await ask(db, index)
    async with db.write() as session:
        session.add(Annotation(frame=frame, x1=0, y1=0, x2=9, y2=9, label="truck", source="pack", score=0.9))
    assert numbers(await ask(db, index, label="truck", min_score=0.8)) == [1]


async def test_refresh__nothing_new_is_nothing_to_do(db: Database, add: Add) -> None:
    index = FrameIndex()
    await add(1, ("car", 0.2, False))
    assert [await db.run_read(index.refresh) for _ in range(2)] == [1, 0]


async def test_room__grows(db: Database, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("central.store.search.FIRST", 2)
    index = FrameIndex()
    for number in range(1, 8):
        await add(number, *((f"class {n}", 0.5, False) for n in range(number * 2)), embedding=unit(1, number))
        assert len(numbers(await ask(db, index, label="class 1"))) == number
    assert len(index) == 7
    assert numbers(await ask(db, index, label="class 12")) == [7]


async def test_facets__count(db: Database, add: Add) -> None:
    index = FrameIndex()
    await add(1, ("car", 0.4, False), ("car", 0.3, False), tags={"rain": "present"}, embedding=unit(1, 0))
    await add(2, ("car", None, True), camera="c2", state="labelled", tags={"rain": "absent"})
    await db.run_read(index.refresh)
    found = index.facets()
    assert {c.name: c.frames for c in found.cameras} == {("n1", "c1"): 1, ("n1", "c2"): 1}
    assert [(c.name, c.frames, c.confirmed) for c in found.labels] == [(("car",), 2, 1)]
    assert [(c.name, c.frames, c.confirmed) for c in found.tags] == [(("rain",), 1, 1)]
    assert (found.frames, found.embeddings) == (2, 1)
