"""What became of one camera between two times, in a bounded number of points however many frames there are.

    stored frames  -> per point: how many, and the mean and the highest of each score; and the most valuable one
    health         -> per point: blur and uncertainty of all assessed frames (`central.store.trend`)
    events         -> spans: alerts of the camera, and times without its node

Points are counted in the database, so a camera with a hundred thousand frames costs no more memory than one with ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Integer, cast, extract, func, literal, select
from sqlalchemy.orm import Session

from central.store import trend
from central.store.models import Frame, NodeEvent

SCORES: Final = ("blur", "uncertainty", "inconsistency", "unexplained_motion", "novelty")
MAX_POINTS: Final = 240
"""Points of one answer: a point every four pixels of a laptop's screen."""
MAX_EVENTS: Final = 2000
"""Events that are looked at for spans; a camera whose alert flickers makes two a minute at most."""
BEFORE: Final = timedelta(days=30)
"""How far before the first point an alert may have begun that still stands in it."""

SpanKind = Literal["alert", "away"]


@dataclass(frozen=True)
class Point:
    """Stored frames of one step: `mean` and `highest` of each score that any of them has, and the most valuable."""

    number: int
    frames: int
    mean: dict[str, float]
    highest: dict[str, float]


@dataclass(frozen=True)
class Mark:
    """A stored frame that stands for its point."""

    frame: Frame
    number: int


@dataclass(frozen=True)
class Span:
    """Something that was wrong. `start` None: since before; `end` None: still, or until after."""

    kind: SpanKind
    text: str
    start: datetime | None
    end: datetime | None


@dataclass
class Timeline:
    """One camera from `start`, in steps of `step_s` whole seconds."""

    start: datetime
    end: datetime
    step_s: int
    points: list[Point] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    watched: trend.Trend | None = None


def _numbered(start: datetime, step_s: int) -> ColumnElement[int]:
    """Return the number of the point that a frame falls into."""
    seconds = cast(extract("epoch", Frame.captured_at), Integer) - literal(int(start.timestamp()))
    return cast(seconds // literal(step_s), Integer)


def _points(session: Session, among: Sequence[Any], number: ColumnElement[int]) -> list[Point]:
    scores = {name: Frame.assessment[name].as_float() for name in SCORES}
    columns = [func.avg(value) for value in scores.values()] + [func.max(value) for value in scores.values()]
    query = select(number.label("number"), func.count(), *columns).where(*among).group_by("number").order_by("number")
    points = []
    for at, frames, *found in session.execute(query):
        means, highest = found[: len(SCORES)], found[len(SCORES) :]
        points.append(
            Point(
                int(at),
                int(frames),
                {name: float(v) for name, v in zip(SCORES, means, strict=True) if v is not None},
                {name: float(v) for name, v in zip(SCORES, highest, strict=True) if v is not None},
            )
        )
    return points


def _marks(session: Session, among: Sequence[Any], number: ColumnElement[int]) -> list[Mark]:
    """Return the most valuable frame of each point."""
    order = func.row_number().over(partition_by=number, order_by=(Frame.value.desc(), Frame.id))
    ranked = select(Frame.id, number.label("number"), order.label("place")).where(*among).subquery()
    query = select(Frame, ranked.c.number).join(ranked, ranked.c.id == Frame.id).where(ranked.c.place == 1)
    return [Mark(frame, int(at)) for frame, at in session.execute(query.order_by(ranked.c.number))]


def _ended(open_: dict[tuple[SpanKind, str], datetime], key: tuple[SpanKind, str], at: datetime | None) -> Span:
    return Span(key[0], key[1], open_.pop(key), at)


def spans(events: Sequence[NodeEvent], start: datetime, end: datetime) -> list[Span]:
    """Return what was wrong between `start` and `end`, of `events`, oldest first."""
    open_: dict[tuple[SpanKind, str], datetime] = {}
    found: list[Span] = []
    for event in events:
        if event.kind == "status":
            state = event.detail.split(":")[0]
            found += [_ended(open_, key, event.at) for key in list(open_) if key[0] == "away"]
            if state in ("offline", "stopped"):
                open_[("away", f"node {state}")] = event.at
            continue
        key: tuple[SpanKind, str] = ("alert", str(event.data.get("alert") or event.detail))
        if event.data.get("raised", True):
            open_.setdefault(key, event.at)
        elif key in open_:
            found.append(_ended(open_, key, event.at))
    found += [_ended(open_, key, None) for key in list(open_)]
    return sorted(
        (
            Span(s.kind, s.text, None if s.start and s.start < start else s.start, s.end)
            for s in found
            if (s.end is None or s.end > start) and s.start is not None and s.start < end
        ),
        key=lambda span: (span.start or start, span.text),
    )


def _events(session: Session, node: str, camera: str, start: datetime, end: datetime) -> list[NodeEvent]:
    query = select(NodeEvent).where(
        NodeEvent.node == node,
        NodeEvent.at >= start - BEFORE,
        NodeEvent.at < end,
        ((NodeEvent.kind == "alert") & (NodeEvent.camera == camera)) | (NodeEvent.kind == "status"),
    )
    newest = session.scalars(query.order_by(NodeEvent.at.desc(), NodeEvent.id.desc()).limit(MAX_EVENTS))
    return list(newest)[::-1]


def timeline(session: Session, node: str, camera: str, start: datetime, end: datetime, points: int) -> Timeline:
    """Return what became of `camera` from `start` to `end` (whole seconds) in at most `points` points."""
    length = max(1, int((end - start).total_seconds()))
    step_s = -(-length // points)
    number = _numbered(start, step_s)
    among = (Frame.node == node, Frame.camera == camera, Frame.captured_at >= start, Frame.captured_at < end)
    steps = -(-length // step_s)
    watched = trend.trends(session, start, start + timedelta(seconds=steps * step_s), steps, (node, camera))
    return Timeline(
        start,
        end,
        step_s,
        _points(session, among, number),
        _marks(session, among, number),
        spans(_events(session, node, camera, start, end), start, end),
        watched[0] if watched else None,
    )
