"""Renewing proposals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from central.annotate import exchange, proposals, queue
from central.annotate.asking.answer import Project, Reply, answer
from central.annotate.boxes import LabelBox, mask_of
from central.annotate.formats import Dataset, kinds
from central.annotate.proposals import Proposer, teacher_name
from central.annotate.queue import Answer
from central.store.models import Verdict
from edge.runtime import Detections

PACK = "a" * 64
KNOWN = ("car", "bus")


def see(image: Any) -> Detections:
    """See one car, one cat, and one bus without area in every image."""
    boxes = np.array([[-5, 1, 20, 20], [1, 1, 9, 9], [3, 3, 3, 9]], np.float32)
    return Detections(boxes, np.array([0.8, 0.7, 0.6], np.float32), np.array([0, 1, 2]))


BY_PACK = Proposer(PACK, "pack", ("car", "cat", "bus"), see)
TEACHER = Proposer("zero-shot:dino", "zero-shot:dino", ("car", "cat", "bus"), see, frozenset(("car",)))


async def run(db: Any, blobs: Any, by: Proposer = BY_PACK, **options: Any) -> dict[str, Any]:
    return await proposals.propose(db, blobs, by, KNOWN, lambda _step: None, **options)


async def shown(db: Any, frame: str) -> list[tuple[str, str, float | None]]:
    """Return label, source and score of every proposal on `frame`."""
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert not any(a.confirmed for a in row.annotations)
    return [(a.label, a.source, a.score) for a in row.annotations]


async def test_propose__replaces_those_of_the_node(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9))
    assert await run(db, blobs) == {"frames": 1, "changed": 1, "boxes": 1}
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert [(a.label, a.source, a.confirmed, a.x1) for a in row.annotations] == [("car", "pack", False, 0.0)]
    assert (row.proposed_by, row.revision, row.state) == (PACK, 0, "pending")


async def test_propose__twice_is_once(db: Any, blobs: Any, add_frame: Any) -> None:
    await add_frame(1)
    await run(db, blobs)
    assert await run(db, blobs) == {"frames": 0, "changed": 0, "boxes": 0}


async def test_propose__not_where_the_node_ran_the_pack(db: Any, blobs: Any, add_frame: Any) -> None:
    await add_frame(1, ("bus", 0.9), pack=PACK)
    async with db.read() as session:
        assert await proposals.outdated(session, PACK) == 0


async def test_replace__leaves_answered_frames_alone(db: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9))
    async with db.write() as session:
        await queue.label(session, Answer(frame, 0, "ann", []), KNOWN)
    async with db.write() as session:
        assert not await proposals.replace(session, frame, BY_PACK, [])


async def test_propose__image_gone(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9))
    await blobs.delete(f"frames/{frame}.jpg")
    assert (await run(db, blobs))["changed"] == 0


async def test_propose__a_teacher_replaces_the_labels_that_it_covers(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9), ("car", 0.4))
    assert (await run(db, blobs, TEACHER))["boxes"] == 1
    assert await shown(db, frame) == [("bus", "node", 0.9), ("car", TEACHER.name, pytest.approx(0.8))]


async def test_propose__no_pack_replaces_a_teacher(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1)
    await run(db, blobs, TEACHER)
    assert (await run(db, blobs))["frames"] == 0
    assert [source for _, source, _ in await shown(db, frame)] == [TEACHER.name]


@pytest.mark.parametrize(("again", "frames"), [(False, 0), (True, 1)])
async def test_propose__a_teacher_asked_twice(db: Any, blobs: Any, add_frame: Any, again: bool, frames: int) -> None:
    frame = await add_frame(1)
    await run(db, blobs, TEACHER)
    assert (await run(db, blobs, TEACHER, again=again))["frames"] == frames
    assert len(await shown(db, frame)) == 1


async def test_propose__best_frames_first(db: Any, blobs: Any, add_frame: Any) -> None:
    await add_frame(1, value=0.1)
    best = await add_frame(2, value=0.9)
    assert (await run(db, blobs, TEACHER, limit=1))["frames"] == 1
    assert await shown(db, best)


@pytest.mark.parametrize(
    ("model", "name"),
    [("IDEA-Research/grounding-dino-tiny", "x:grounding-dino-tiny"), ("a/" + "b" * 90, "x:" + "b" * 62)],
)
def test_teacher_name__fits_its_column(model: str, name: str) -> None:
    assert teacher_name("x", model) == name


async def test_propose__tags_and_what_scores_were_worth(db: Any, blobs: Any, add_frame: Any) -> None:
    judged = await add_frame(1, state="labelled")
    async with db.write() as session:
        rows = [("kept", 10), ("deleted", 30)]
        session.add_all(
            Verdict(frame=judged, revision=1, source="pack", label="car", score=0.8, outcome=outcome)
            for outcome, count in rows
            for _ in range(count)
        )
    frame = await add_frame(2)
    await run(db, blobs, replace(BY_PACK, tags=lambda: {"night": 0.25}))
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert row.tag_proposals == {"night": 0.25}
    assert row.annotations[0].score == pytest.approx(0.8)
    assert row.annotations[0].confidence == pytest.approx(0.25, abs=0.02)


async def test_propose__where_the_node_ran_the_pack_if_asked(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9), pack=PACK)
    assert (await run(db, blobs, every=True))["changed"] == 1
    assert [(label, source) for label, source, _ in await shown(db, frame)] == [("car", "pack")]
    assert (await run(db, blobs, every=True))["changed"] == 0


def rings_of(image: Any, boxes: Any) -> list[Any]:
    """Outline a triangle in every box but the last, whose outline is none."""
    found = [[[(b[0], b[1]), (b[2], b[1]), (b[2], b[3])]] for b in boxes]
    return [*found[:-1], [[(1.0, 1.0), (2.0, 2.0)]]]


def see_two(image: Any) -> Detections:
    boxes = np.array([[2, 2, 20, 20], [30, 10, 44, 24]], np.float32)
    return Detections(boxes, np.array([0.8, 0.7], np.float32), np.array([0, 1]))


OUTLINING = Proposer("discover:run", "discover:run", ("car", "bus"), see_two, frozenset(KNOWN), outline=rings_of)


async def test_propose__outlines_are_stored_with_boxes(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1)
    await run(db, blobs, OUTLINING)
    async with db.read() as session:
        row = await queue.load(session, frame)
    masks = {a.label: a.mask for a in row.annotations}
    assert masks == {"car": [[[2.0, 2.0], [20.0, 2.0], [20.0, 20.0]]], "bus": None}


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio"])
async def test_propose__outlines_that_are_accepted_are_exported(
    db: Any, blobs: Any, add_frame: Any, tmp_path: Path, name: str
) -> None:
    frame = await add_frame(1)
    await run(db, blobs, OUTLINING)
    async with db.read() as session:
        row = await queue.load(session, frame)
    boxes = [
        LabelBox((a.x1, a.y1, a.x2, a.y2), a.label, mask=mask_of(a.mask), origin=str(a.id)) for a in row.annotations
    ]
    async with db.write() as session:
        await queue.label(session, Answer(frame, 0, "ann", boxes, list(KNOWN)), KNOWN)
    async with db.read() as session:
        picture = exchange.picture(await queue.load(session, frame))
    form, path = kinds()[name], tmp_path / "set.file"
    form.write(Dataset(KNOWN, (picture,), ()), path)
    (again,) = form.read(path).loaded().pictures
    rings = {b.label: b.mask for b in again.boxes}
    assert rings["car"] is not None
    assert [v for p in rings["car"][0] for v in p] == pytest.approx([2, 2, 20, 2, 20, 20], abs=0.01)
    assert not rings["bus"]


async def test_propose__what_was_clicked_makes_the_fitting_one_surer(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1)
    click = Reply(frame, 0, "ann", "click", "point", ["car"], point=(11.0, 11.0))
    async with db.write() as session:
        await answer(session, click, Project(KNOWN))
    await run(db, blobs, OUTLINING)
    async with db.read() as session:
        row = await queue.load(session, frame)
    sure = {a.label: a.confidence for a in row.annotations}
    assert sure["car"] == pytest.approx(0.92) and sure["bus"] is None
