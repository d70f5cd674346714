"""Sources that propose in the background."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from central.annotate import profile, proposals, queue
from central.annotate.asking import answer as replies
from central.annotate.boxes import LabelBox
from central.annotate.profile import ProfileProposer
from central.annotate.proposals import Proposer
from central.annotate.proposers import DEFAULT, Desk, job, proposer, proposers
from central.annotate.proposers.tags import FEW, Site, transfer
from central.annotate.proposers.track import wanted
from central.annotate.queue import Answer
from central.annotate.sources import tally
from central.store.models import Frame, FrameLook, TagProposal
from edge.runtime import Detections
from tests.central.learn.test_teachers import pack

KNOWN = ("car", "bus")
NIGHT = ("night",)
TRACK, TAGS = (ProfileProposer(kind=kind) for kind in ("track", "tags"))
ROUGH = np.random.default_rng(1).integers(0, 255, (12, 16, 3), np.uint8)
IMAGE = cv2.imencode(".jpg", cv2.resize(ROUGH, (64, 48), interpolation=cv2.INTER_CUBIC))[1].tobytes()
BUS = LabelBox((30, 10, 60, 40), "bus")


@pytest.fixture
def desk(db: Any, blobs: Any) -> Desk:
    return Desk(db, blobs, KNOWN, NIGHT)


async def label(db: Any, frame: str, *boxes: LabelBox, tags: Any = None) -> None:
    async with db.write() as session:
        await queue.label(session, Answer(frame, 0, "ann", boxes, tags=tags or {}), KNOWN, NIGHT)


async def sources(db: Any, frame: str) -> list[tuple[str, str]]:
    async with db.read() as session:
        return [(a.label, a.source) for a in (await queue.load(session, frame)).annotations if not a.confirmed]


def test_proposers__are_all_there() -> None:
    assert {given.kind for given in DEFAULT} < set(proposers()) == {"pack", "tags", "teacher", "track"}


async def test_track__follows_once_and_again_where_labels_changed(desk: Desk, add_frame: Any) -> None:
    first, last = await add_frame(1), await add_frame(2)
    await desk.blobs.put([(f"frames/{name}.jpg", IMAGE) for name in (first, last)])
    assert (await proposer("track").propose(desk, TRACK))["frames"] == 0
    await label(desk.database, first, BUS)
    assert (await proposer("track").propose(desk, TRACK))["changed"] == 1
    assert await sources(desk.database, last) == [("bus", "track")]
    assert (await proposer("track").propose(desk, TRACK))["frames"] == 0
    async with desk.database.write() as session:
        await queue.label(session, Answer(first, 1, "ann", []), KNOWN)
    assert (await proposer("track").propose(desk, TRACK))["frames"] == 1
    assert await sources(desk.database, last) == []


async def test_track__not_across_cameras_nor_long_after(desk: Desk, add_frame: Any) -> None:
    await label(desk.database, await add_frame(1), BUS)
    late = datetime.now(UTC) + timedelta(hours=1)
    await add_frame(2)
    async with desk.database.write() as session:
        frame = await session.get_one(Frame, f"{2:08x}-0000-7000-8000-000000000000")
        frame.captured_at = late
    async with desk.database.read() as session:
        assert await wanted(session) == []


async def test_propose__not_what_was_followed_or_decided(desk: Desk, add_frame: Any) -> None:
    def see(_image: Any) -> Detections:
        boxes = np.array([[1, 2, 30, 40], [30, 10, 60, 40]], np.float32)
        return Detections(boxes, np.array([0.8, 0.7], np.float32), np.array([0, 1]))

    name = await add_frame(1, ("car", 0.9))
    no = replies.Reply(name, 0, "ann", "box", "no", boxes=[LabelBox((1.0, 2.0, 30.0, 40.0), "car")])
    async with desk.database.write() as session:
        await replies.answer(session, no, replies.Project(KNOWN))
    by = Proposer("a" * 64, "pack", KNOWN, see)
    await proposals.propose(desk.database, desk.blobs, by, KNOWN, lambda _step: None)
    assert await sources(desk.database, name) == [("bus", "pack")]
    yes = replies.Reply(name, 1, "ann", "box", "yes", boxes=[BUS])
    async with desk.database.write() as session:
        await replies.answer(session, yes, replies.Project(KNOWN))
    again = Proposer("b" * 64, "pack", KNOWN, see)
    await proposals.propose(desk.database, desk.blobs, again, KNOWN, lambda _step: None)
    async with desk.database.read() as session:
        rows = (await queue.load(session, name)).annotations
    assert [(a.label, a.confirmed) for a in rows] == [("bus", True)]


def test_transfer__unknown_neighbours_say_nothing() -> None:
    points = np.eye(8, dtype=np.float32)
    known = np.full((8, 1), np.nan, np.float32)
    known[:FEW, 0] = [1, 0, 0, 0, 0]
    site = Site(points, known)
    assert transfer(site, points[0], NIGHT)["night"] == pytest.approx(0.6, abs=0.01)
    assert transfer(site, points[7], NIGHT)["night"] == pytest.approx(0.2, abs=0.01)
    assert transfer(Site(points, known * np.nan), points[0], NIGHT) == {}


async def tagged(desk: Desk, add_frame: Any, count: int = FEW) -> str:
    """Return a frame that waits, like the first of some labelled ones, which is the only one at night."""
    points = np.eye(count + 1, dtype="<f4")
    for n in range(count):
        name = await add_frame(n, embedding=points[n].tobytes())
        await label(desk.database, name, tags={"night": "present" if n == 0 else "absent"})
    return str(await add_frame(99, embedding=points[0].tobytes()))


async def test_tags__from_frames_that_look_alike(desk: Desk, add_frame: Any) -> None:
    name = await tagged(desk, add_frame)
    assert (await proposer("tags").propose(desk, TAGS))["changed"] == 1
    assert (await proposer("tags").propose(desk, TAGS))["frames"] == 0
    async with desk.database.read() as session:
        row = await session.get_one(Frame, name)
        said = list(await session.scalars(select(TagProposal)))
    assert row.tag_proposals == {"night": pytest.approx(0.6, abs=0.01)}
    assert [(x.frame, x.tag, x.source, x.confidence) for x in said] == [(name, "night", "neighbours", None)]


async def test_tags__answers_measure_them(desk: Desk, add_frame: Any) -> None:
    name = await tagged(desk, add_frame)
    await proposer("tags").propose(desk, TAGS)
    await label(desk.database, name, tags={"night": "absent"})
    async with desk.database.read() as session:
        found = [(s.source, s.label, s.precision) for s in await tally(session)]
    assert found == [("neighbours", "tag:night", 0.0)]


async def test_tags__too_few_to_compare_with(desk: Desk, add_frame: Any) -> None:
    await tagged(desk, add_frame, FEW - 1)
    assert await proposer("tags").propose(desk, TAGS) == {"frames": 0, "changed": 0}


async def test_teacher__proposes_once(tmp_path: Path, desk: Desk, add_frame: Any) -> None:
    labels = profile.load("street").label_names
    model = pack(tmp_path / "large", labels)
    frame = await add_frame(1)
    given = ProfileProposer(kind="teacher", model=f"pack:{model}", threshold=0.0)
    mine = Desk(desk.database, desk.blobs, labels)
    assert (await proposer("teacher").propose(mine, given))["changed"] == 1
    assert {source for _, source in await sources(desk.database, frame)} == {"pack:large"}
    assert (await proposer("teacher").propose(mine, given))["frames"] == 0


async def test_work__one_that_cannot_be_used_stops_no_other(desk: Desk, add_frame: Any) -> None:
    await tagged(desk, add_frame)
    named = [ProfileProposer(kind="teacher", model="nix"), ProfileProposer(kind="nix"), TAGS]
    done, troubles = await job.work(desk, named)
    assert done == {"tags": {"frames": 1, "changed": 1}}
    assert set(troubles) == {"teacher nix", "nix"}
    assert "KIND:MODEL" in troubles["teacher nix"]


async def test_work__ends_in_time_and_goes_on(desk: Desk, add_frame: Any) -> None:
    await tagged(desk, add_frame)
    assert (await job.work(desk, [TAGS], turn=-1.0))[0] == {"tags": {"frames": 0, "changed": 0}}
    assert (await job.work(desk, [TAGS]))[0] == {"tags": {"frames": 1, "changed": 1}}


async def test_waiting__nothing_once_all_looked(desk: Desk, add_frame: Any) -> None:
    await tagged(desk, add_frame)

    async def count() -> int:
        async with desk.database.read() as session:
            return await job.waiting(session, [], None, False)

    assert await count() > 0
    await job.work(desk, [])
    assert await count() == 0


async def test_run__in_a_process_of_its_own_as_the_server_starts_it(tmp_path: Path, desk: Desk, add_frame: Any) -> None:
    await tagged(desk, add_frame)
    url = str(desk.database.engine.url)
    began = time.monotonic()
    result = await asyncio.to_thread(
        job.run, [], list(KNOWN), list(NIGHT), None, url, None, str(tmp_path / "blobs"), lambda _step: None
    )
    assert result["troubles"] == {}
    assert result["sources"]["tags"] == {"frames": 1, "changed": 1}
    assert time.monotonic() - began < job.TURN_S


async def test_look__goes_with_its_frame(desk: Desk, add_frame: Any) -> None:
    name = await tagged(desk, add_frame)
    await proposer("tags").propose(desk, TAGS)
    async with desk.database.write() as session:
        await session.delete(await session.get_one(Frame, name))
    async with desk.database.read() as session:
        assert list(await session.scalars(select(FrameLook))) == []
