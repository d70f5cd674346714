"""What people did before the browser came: a frame that two disagree about, and one that wants a second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from central.store import models as db

FIRST, SECOND = "bo", "cleo"
DISPUTED: Final = 200
WANTED: Final = 201
"""Numbers of the two frames."""


def _boxes(frame: db.Frame) -> list[dict[str, Any]]:
    return [{"box": [a.x1, a.y1, a.x2, a.y2], "label": a.label} for a in frame.annotations]


def _answered(frame: db.Frame, opinion: str) -> list[db.Base]:
    """Return `frame` as the first person answered it, with that answer."""
    tags = {"rain": "present", "night": "absent"}
    first = db.LabelRevision(
        frame=frame.id, revision=1, author=FIRST, boxes=_boxes(frame), complete_for=["car", "person"], tags=tags
    )
    frame.state, frame.revision, frame.labelled_by, frame.opinion, frame.tags = "labelled", 1, FIRST, opinion, tags
    frame.complete_for = ["car", "person"]
    for box in frame.annotations:
        box.confirmed, box.author, box.source, box.score = True, FIRST, "person", None
    return [first]


def opinions(disputed: db.Frame, wanted: db.Frame) -> Sequence[db.Base]:
    """Return what belongs to the two frames, which are changed to what they are after their first answers."""
    boxes = _boxes(disputed)
    other = [{**boxes[0], "label": "truck"}, *boxes[1:2]]
    second = db.Opinion(
        frame=disputed.id, author=SECOND, revision=1, first=FIRST, boxes=other, complete_for=["car"],
        tags={"rain": "absent"},
    )  # fmt: skip
    return [*_answered(disputed, "disputed"), *_answered(wanted, "wanted"), second]
