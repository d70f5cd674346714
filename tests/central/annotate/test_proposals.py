"""Renewing proposals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from central.annotate import proposals, queue
from central.annotate.queue import Answer
from edge.runtime import Detections, Inference

PACK = "a" * 64
KNOWN = ("car", "bus")


class FakeModel:
    """Sees one car, one cat, and one bus without area in every image."""

    labels = ("car", "cat", "bus")
    pack = SimpleNamespace(address=PACK)

    def infer(self, image: Any) -> Inference:
        boxes = np.array([[-5, 1, 20, 20], [1, 1, 9, 9], [3, 3, 3, 9]], np.float32)
        return Inference(Detections(boxes, np.array([0.8, 0.7, 0.6], np.float32), np.array([0, 1, 2])))


async def run(db: Any, blobs: Any) -> dict[str, Any]:
    return await proposals.propose(db, blobs, FakeModel(), KNOWN, lambda _step: None)  # type: ignore[arg-type]


async def test_propose__replaces_those_of_the_node(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9))
    assert await run(db, blobs) == {"frames": 1, "changed": 1}
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert [(a.label, a.source, a.confirmed, a.x1) for a in row.annotations] == [("car", "pack", False, 0.0)]
    assert (row.proposed_by, row.revision, row.state) == (PACK, 0, "pending")


async def test_propose__twice_is_once(db: Any, blobs: Any, add_frame: Any) -> None:
    await add_frame(1)
    await run(db, blobs)
    assert await run(db, blobs) == {"frames": 0, "changed": 0}


async def test_propose__not_where_the_node_ran_the_pack(db: Any, blobs: Any, add_frame: Any) -> None:
    await add_frame(1, ("bus", 0.9), pack=PACK)
    async with db.read() as session:
        assert await proposals.outdated(session, PACK) == 0


async def test_replace__leaves_answered_frames_alone(db: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9))
    async with db.write() as session:
        await queue.label(session, Answer(frame, 0, "ann", []), KNOWN)
    async with db.write() as session:
        assert not await proposals.replace(session, frame, PACK, [])


async def test_propose__image_gone(db: Any, blobs: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("bus", 0.9))
    await blobs.delete(f"frames/{frame}.jpg")
    assert (await run(db, blobs))["changed"] == 0
