"""What each camera takes: frames and bytes by state and age, boxes, and an estimate of what the rows take."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from central.store.models import Annotation, Frame, LabelRevision

AGES: Final = (("day", 1), ("week", 7), ("month", 30), ("quarter", 90), ("year", 365))
"""Days up to which a frame is of an age, since it was received; beyond the last it is ``older``."""
OLDER: Final = "older"
FRAME_ROW: Final = 1200
"""Bytes of a frame's row with its indexes, without embedding and boxes: as measured on SQLite (docs/operating.md)."""
BOX_ROW: Final = 500
"""Bytes of one box with its indexes, and of what its node said of it, in the frame's row."""
REVISION_ROW: Final = 400
"""Bytes of one answer in the history."""


@dataclass
class Part:
    """Frames, and bytes of their images."""

    frames: int = 0
    bytes: int = 0

    def add(self, frames: int, size: int) -> None:
        """Take more in."""
        self.frames, self.bytes = self.frames + frames, self.bytes + size


@dataclass
class Camera:
    """What one camera takes. `states` and `ages` each add up to `all`."""

    site: str
    node: str
    camera: str
    all: Part = field(default_factory=Part)
    states: dict[str, Part] = field(default_factory=dict)
    ages: dict[str, Part] = field(default_factory=dict)
    labels: int = 0
    """Boxes that count."""
    proposals: int = 0
    answers: int = 0
    embeddings_bytes: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def rows_bytes(self) -> int:
        """Estimate of what the rows take in the database."""
        boxes = self.labels + self.proposals
        rows = self.all.frames * FRAME_ROW + boxes * BOX_ROW + self.answers * REVISION_ROW
        return rows + self.embeddings_bytes


def _age(now: datetime) -> ColumnElement[str]:
    steps = [(Frame.received_at > now - timedelta(days=days), name) for name, days in AGES]
    return case(*steps, else_=OLDER)


def usage(session: Session, now: datetime) -> list[Camera]:
    """Return every camera that has frames, those that take most first. Goes over all rows: seconds for millions."""
    found: dict[tuple[str, str, str], Camera] = {}
    place = (Frame.site, Frame.node, Frame.camera)
    rows = select(
        *place, Frame.state, _age(now).label("age"), Frame.size_bytes,
        func.length(Frame.embedding).label("vector"), Frame.received_at,
    ).subquery()  # fmt: skip
    group = (rows.c.site, rows.c.node, rows.c.camera, rows.c.state, rows.c.age)
    query = select(
        *group, func.count(), func.sum(rows.c.size_bytes), func.sum(rows.c.vector), func.min(rows.c.received_at),
        func.max(rows.c.received_at),
    ).group_by(*group)  # fmt: skip
    for site, node, name, state, old, count, size, vectors, first, last in session.execute(query):
        camera = found.setdefault((site, node, name), Camera(site, node, name))
        for part in (camera.all, camera.states.setdefault(state, Part()), camera.ages.setdefault(old, Part())):
            part.add(count, int(size or 0))
        camera.embeddings_bytes += int(vectors or 0)
        camera.first = first if camera.first is None else min(camera.first, first)
        camera.last = last if camera.last is None else max(camera.last, last)
    _boxes(session, found)
    return sorted(found.values(), key=lambda c: (-c.all.bytes, c.site, c.node, c.camera))


def _boxes(session: Session, found: dict[tuple[str, str, str], Camera]) -> None:
    place = (Frame.site, Frame.node, Frame.camera)
    boxes = (
        select(*place, Annotation.confirmed, func.count())
        .select_from(Annotation)
        .join(Frame, Frame.id == Annotation.frame)
        .group_by(*place, Annotation.confirmed)
    )
    for site, node, name, confirmed, count in session.execute(boxes):
        if confirmed:
            found[site, node, name].labels += count
        else:
            found[site, node, name].proposals += count
    answers = select(*place, func.count()).select_from(LabelRevision).join(Frame, Frame.id == LabelRevision.frame)
    for site, node, name, count in session.execute(answers.group_by(*place)):
        found[site, node, name].answers += count
