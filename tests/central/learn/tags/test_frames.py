"""Tags between the store and the learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from central.learn.tags import frames
from central.store.models import Annotation, Frame
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


async def test_gather__leaves_out_frames_without_image_or_answer(
    db: Any, blobs: Any, add_frame: Any, tmp_path: Path
) -> None:
    gone = await add_frame(1)
    await label(db, gone)
    await blobs.delete(f"frames/{gone}.jpg")
    assert not (await frames.gather(db, blobs, NAMES, tmp_path / "frames")).paths


async def test_propose__waiting_frames_and_the_profiles_tags(db: Any, blobs: Any, add_frame: Any) -> None:
    waiting = await add_frame(1, tag_proposals={"fog": 0.2, "night": 0.7})
    answered = await add_frame(2)
    await label(db, answered)
    done = await frames.propose(db, blobs, lambda image: {"fog": 0.9, "car": 0.8}, ("fog", "night"))
    async with db.read() as session:
        rows = {name: (await session.get(Frame, name)).tag_proposals for name in (waiting, answered)}
    assert done == 1 and rows == {waiting: {"fog": 0.9, "night": 0.7}, answered: {}}


@pytest.mark.parametrize("state", ["labelled", "skipped"])
async def test_store__answered_meanwhile(db: Any, blobs: Any, add_frame: Any, state: str) -> None:
    frame = await add_frame(1, state=state)
    async with db.write() as session:
        assert not await frames.store(session, frame, {"fog": 0.5})
        assert not await frames.store(session, "no such frame", {"fog": 0.5})
