"""Answering frames in the store: order, compare-and-set, history."""

from __future__ import annotations

from typing import Any

import pytest

from central.annotate import queue
from central.annotate.boxes import LabelBox, LabelError
from central.annotate.queue import Answer, ConflictError, FrameMissingError

Any_ = Any
KNOWN = ("car", "bus")
CAR = LabelBox((1, 2, 30, 40), "car")


async def test_waiting__best_first_and_only_pending(db: Any_, add_frame: Any_) -> None:
    low, high = await add_frame(1, value=0.1), await add_frame(2, value=0.9)
    await add_frame(3, value=1.0, state="skipped")
    async with db.read() as session:
        assert [f.id for f in await queue.waiting(session, 10)] == [high, low]
        assert await queue.pending(session) == 2


async def test_label__conflict_leaves_the_first_answer(db: Any_, add_frame: Any_) -> None:
    frame = await add_frame(1)
    async with db.write() as session:
        await queue.label(session, Answer(frame, 0, "ann", [CAR], ["car"]), KNOWN)
    with pytest.raises(ConflictError) as caught:
        async with db.write() as session:
            await queue.label(session, Answer(frame, 0, "bob", []), KNOWN)
    assert caught.value.frame.labelled_by == "ann"
    assert [a.author for a in caught.value.frame.annotations] == ["ann"]
    async with db.read() as session:
        assert [h.author for h in await queue.history(session, frame)] == ["ann"]


async def test_label__refused_changes_nothing(db: Any_, add_frame: Any_) -> None:
    frame = await add_frame(1, ("car", 0.9))
    with pytest.raises(LabelError):
        async with db.write() as session:
            await queue.label(session, Answer(frame, 0, "ann", [LabelBox((1, 2, 3, 4), "cat")]), KNOWN)
    async with db.read() as session:
        row = await queue.load(session, frame)
        assert (row.revision, row.state, len(row.annotations)) == (0, "pending", 1)


@pytest.mark.parametrize("act", ["label", "skip"])
async def test_answer__missing_frame(db: Any_, act: str) -> None:
    with pytest.raises(FrameMissingError):
        async with db.write() as session:
            answer = Answer("nix", 0, "ann")
            await (queue.label(session, answer, KNOWN) if act == "label" else queue.skip(session, answer))


async def test_label__twice_keeps_both_answers(db: Any_, add_frame: Any_) -> None:
    frame = await add_frame(1)
    for revision, boxes in ((0, [CAR]), (1, [CAR, CAR])):
        async with db.write() as session:
            await queue.label(session, Answer(frame, revision, "ann", boxes), KNOWN)
    async with db.read() as session:
        history = await queue.history(session, frame)
        row = await queue.load(session, frame)
    assert [len(h.boxes) for h in history] == [1, 2]
    assert [a.revision for a in row.annotations] == [2, 2]
