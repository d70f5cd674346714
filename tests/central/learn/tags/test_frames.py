"""Tags between the store and the learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from central.annotate.asking.answer import Project, Reply, answer
from central.annotate.sources import ENOUGH
from central.annotate.tag_proposals import put
from central.learn.discover.centre import clicks
from central.learn.discover.hints import Hints
from central.learn.tags import frames
from central.store.models import Annotation, Frame, TagProposal, Verdict
from tests.central.annotate.conftest import add_frame, blobs, jpeg

__all__ = ["add_frame", "blobs", "jpeg"]
NAMES = ("car", "bus", "truck", "rain", "fog")


async def label(db: Any, frame: str, **columns: Any) -> None:
    async with db.write() as session:
        row = await session.get(Frame, frame)
        row.state = "labelled"
        for name, value in columns.items():
            setattr(row, name, value)
        session.add(Annotation(frame=frame, x1=0, y1=0, x2=5, y2=5, label="car", source="person", confirmed=True))


async def test_gather__what_people_said(db: Any, blobs: Any, add_frame: Any, tmp_path: Path) -> None:
    first = await add_frame(1, ("bus", 0.9))
    await label(db, first, complete_for=["car", "truck"], tags={"rain": "present", "fog": "absent"})
    await add_frame(2)
    found = await frames.gather(db, blobs, NAMES, tmp_path / "frames")
    assert found.labels.tolist() == [[1, 0, -1, 1, -1]]
    assert found.groups == ("n1/c1",) and found.paths[0].is_file()


async def clicked(db: Any, frame: str) -> None:
    async with db.write() as session:
        await answer(session, Reply(frame, 0, "ann", "click", "point", ["bus"], point=(9.0, 8.0)), Project(NAMES))


async def test_gather__single_answers_of_frames_that_wait(
    db: Any, blobs: Any, add_frame: Any, tmp_path: Path
) -> None:
    await clicked(db, await add_frame(1))
    await add_frame(2)
    plain = await frames.gather(db, blobs, NAMES, tmp_path / "frames")
    single = await frames.gather(db, blobs, NAMES, tmp_path / "frames", single=True)
    assert plain.labels.tolist() == [] and single.labels.tolist() == [[0, 1, 0, 0, 0]]


async def test_clicks__are_lessons_of_discovery(db: Any, add_frame: Any) -> None:
    frame = await add_frame(1)
    await clicked(db, frame)
    assert await clicks(db, {frame: 3}, ("car", "bus")) == {3: Hints(clicks=((1, (9.0, 8.0)),))}
    assert await clicks(db, {frame: 3}, ("car",)) == {}


async def test_gather__leaves_out_frames_without_image_or_answer(
    db: Any, blobs: Any, add_frame: Any, tmp_path: Path
) -> None:
    gone = await add_frame(1)
    await label(db, gone)
    await blobs.delete(f"frames/{gone}.jpg")
    assert not (await frames.gather(db, blobs, NAMES, tmp_path / "frames")).paths


async def test_propose__waiting_frames_and_the_profiles_tags(db: Any, blobs: Any, add_frame: Any) -> None:
    waiting = await add_frame(1)
    async with db.write() as session:
        await put(session, "neighbours", {waiting: {"fog": 0.2, "night": 0.7}}, {})
    answered = await add_frame(2)
    await label(db, answered)
    done = await frames.propose(db, blobs, lambda image: {"fog": 0.9, "car": 0.8}, ("fog", "night"))
    async with db.read() as session:
        rows = {name: (await session.get(Frame, name)).tag_proposals for name in (waiting, answered)}
    assert done == 1 and rows == {waiting: {"fog": 0.55, "night": 0.7}, answered: {}}


async def test_propose__stands_beside_what_other_machines_say_later(db: Any, blobs: Any, add_frame: Any) -> None:
    waiting = await add_frame(1)
    for score in (0.1, 0.9):  # it speaks for itself anew, not for a second one
        await frames.propose(db, blobs, lambda image, score=score: {"fog": score}, ("fog",))  # type: ignore[misc]
    async with db.write() as session:
        await put(session, "neighbours", {waiting: {"fog": 0.5}}, {})
    async with db.read() as session:
        assert (await session.get(Frame, waiting)).tag_proposals == {"fog": 0.7}
        told = {row.source: row.score for row in await session.scalars(select(TagProposal))}
    assert told == {frames.SOURCE: 0.9, "neighbours": 0.5}


async def test_propose__its_scores_are_worth_what_people_made_of_them(db: Any, blobs: Any, add_frame: Any) -> None:
    asked = await add_frame(1)
    async with db.write() as session:
        session.add_all(
            [Verdict(frame=asked, revision=1, source=frames.SOURCE, label="tag:fog", score=0.9, outcome="deleted")
             for _ in range(ENOUGH)]
        )  # fmt: skip
    await frames.propose(db, blobs, lambda image: {"fog": 0.9}, ("fog",))
    async with db.read() as session:
        assert (await session.get(Frame, asked)).tag_proposals["fog"] < 0.2


@pytest.mark.parametrize("state", ["labelled", "skipped"])
async def test_store__answered_meanwhile(db: Any, blobs: Any, add_frame: Any, state: str) -> None:
    frame = await add_frame(1, state=state)
    async with db.write() as session:
        assert not await frames.store(session, frame, {"fog": 0.5})
        assert not await frames.store(session, "no such frame", {"fog": 0.5})
