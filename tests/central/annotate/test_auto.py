"""The reviewer that is nobody."""

from __future__ import annotations

from typing import Any

import pytest

from central.annotate import auto, queue
from central.notify import Notifier
from central.store.models import Annotation, Frame

KNOWN = ("car", "bus")


async def test_review__confident_proposals_become_machine_labels(db: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("car", 0.9), ("bus", 0.3), ("cat", 0.99))
    assert await auto.review(db, KNOWN, confidence=0.5) == 1
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert [(a.label, a.source, a.score, a.confirmed) for a in row.annotations] == [("car", "machine", 0.9, True)]
    assert (row.state, row.complete_for, row.labelled_by) == ("labelled", [], "nobody")


def test_accept__of_two_classes_on_one_object_the_surer() -> None:
    places = (("car", 0.7, 0), ("bus", 0.9, 1), ("car", 0.8, 60))
    rows = [Annotation(x1=x, y1=2, x2=x + 30, y2=40, label=n, score=s, confirmed=False) for n, s, x in places]
    found = auto.accept(Frame(annotations=rows), 0.5, KNOWN)
    assert [(given.label, given.box[0]) for given in found] == [("bus", 1), ("car", 60)]


async def test_review__nothing_confident_is_put_aside(db: Any, add_frame: Any) -> None:
    frame = await add_frame(1, ("car", 0.2))
    await auto.review(db, KNOWN, confidence=0.5)
    async with db.read() as session:
        row = await queue.load(session, frame)
    assert row.state == "skipped"
    assert [(a.label, a.confirmed) for a in row.annotations] == [("car", False)]


async def test_review__takes_a_share_at_a_time(db: Any, add_frame: Any) -> None:
    for number in range(1, 6):
        await add_frame(number, ("car", 0.9))
    assert await auto.review(db, KNOWN, confidence=0.5, limit=3) == 3
    assert await auto.review(db, KNOWN, confidence=0.5, limit=3) == 2
    assert await auto.review(db, KNOWN, confidence=0.5, limit=3) == 0


async def test_run__takes_the_labels_as_they_are_now(db: Any, add_frame: Any) -> None:
    first, second = await add_frame(1, ("car", 0.9)), await add_frame(2, ("tram", 0.9))
    labels = ["car"]
    pauses = 0

    async def sleep(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 2:
            raise InterruptedError
        labels[:] = ["tram"]  # the profile was edited
        async with db.write() as session:
            (await queue.load(session, second)).state = "pending"

    with pytest.raises(InterruptedError):
        await auto.run(db, Notifier(), lambda: labels, 0.5, sleep)
    async with db.read() as session:
        found = [(await queue.load(session, frame)).annotations for frame in (first, second)]
    assert [[(a.label, a.confirmed) for a in rows] for rows in found] == [[("car", True)], [("tram", True)]]
