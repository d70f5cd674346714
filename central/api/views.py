"""Rows of the database as what the API shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from central.annotate.asking.click import Point
from central.annotate.drafts import Marks
from central.annotate.profile import Profile
from central.api import schemas as s
from central.store import models as m

NOTHING: Final = Marks()


def box(row: m.Annotation) -> s.BoxView:
    """Return the view of an annotation."""
    return s.BoxView(
        id=str(row.id),
        box=(row.x1, row.y1, row.x2, row.y2),
        label=row.label,
        score=row.score,
        source=row.source,
        confirmed=row.confirmed,
        mask=row.mask,
        confidence=row.confidence,
        origin=row.origin,
        moved=row.moved,
    )


def _seen(row: m.Frame) -> list[s.BoxView]:
    """Return what the node's pack saw on a frame, as proposals."""
    return [
        s.BoxView(id=f"node-{i}", box=d["box"], label=d["label"], score=d["score"], source="node", confirmed=False)
        for i, d in enumerate(row.detections)
    ]


def answered(boxes: Sequence[Mapping[str, Any]]) -> list[s.BoxBody]:
    """Return boxes as the database keeps those of an answer."""
    return [s.BoxBody.model_validate(dict(b)) for b in boxes]


def draft(row: m.Draft) -> s.DraftView:
    """Return the view of a draft."""
    return s.DraftView(
        revision=row.revision, boxes=answered(row.boxes), tags=row.tags, complete_for=list(row.complete_for), at=row.at
    )


def _marks(marks: Marks) -> dict[str, Any]:
    lease, flag = marks.lease, marks.flag
    return {
        "lease": lease and s.LeaseView(by=lease.by, until=lease.until),
        "flag": flag and s.FlagView(by=flag.by, note=flag.note, at=flag.at),
        "draft": marks.draft and draft(marks.draft),
    }


def question(row: m.FrameQuestion) -> s.QuestionView:
    """Return the view of a question."""
    one = row.boxes[0] if row.kind == "box" and row.boxes else None
    label = row.labels[0] if row.kind == "click" else one and one["label"]
    return s.QuestionView(
        kind=cast(m.QuestionKind, row.kind), label=label, labels=list(row.labels), tag=row.tag,
        box=one and one["box"], boxes=[] if one else [s.AskedBox.model_validate(b) for b in row.boxes], pair=row.pair,
        seconds=row.seconds, gain=row.gain, reason=row.reason, strategy=row.strategy,
    )  # fmt: skip


def point(clicked: Point) -> s.PointView:
    """Return the view of a click."""
    return s.PointView(
        label=clicked.label, at=clicked.at, by=clicked.by, time=clicked.when, seconds=clicked.seconds
    )  # fmt: skip


def frame(
    row: m.Frame,
    marks: Marks = NOTHING,
    hidden: bool = False,
    asked: m.FrameQuestion | None = None,
    tags: Sequence[m.TagProposal] = (),
    points: Sequence[Point] = (),
) -> s.FrameView:
    """Return the view of a frame whose annotations are loaded; `hidden`: without what people said of it so far."""
    selection = row.selection
    return s.FrameView(
        id=row.id,
        node=row.node,
        site=row.site,
        camera=row.camera,
        name=row.name,
        index=row.index,
        time=row.captured_at,
        width=row.width,
        height=row.height,
        bytes=row.size_bytes,
        pack=row.pack,
        state="pending" if hidden else cast(s.FrameState, row.state),
        value=row.value,
        reason=str(selection.get("reason", "")),
        policy=str(selection.get("policy", "")),
        probability=float(selection.get("probability", 0.0)),
        assessment=s.AssessmentView.model_validate(
            {k: v for k, v in row.assessment.items() if k in s.AssessmentView.model_fields}
        ),
        revision=row.revision,
        boxes=_seen(row) if hidden else [box(a) for a in row.annotations],
        complete_for=[] if hidden else list(row.complete_for),
        points=[] if hidden else [point(p) for p in points],
        tags={} if hidden else row.tags,
        tag_proposals=row.tag_proposals,
        tag_sources=[
            s.TagProposalView(tag=t.tag, source=t.source, score=t.score, confidence=t.confidence) for t in tags
        ],
        double=hidden,
        question=question(asked) if asked is not None and row.state == "pending" else None,
        **_marks(marks),
    )


def change(row: m.LabelRevision, points: Sequence[Point] = ()) -> s.AnswerView:
    """Return the view of one answer; `points` are those of its frame."""
    return s.AnswerView(
        revision=row.revision, at=row.at, by=row.author, state=row.state, boxes=answered(row.boxes),
        points=[point(p) for p in points if p.revision == row.revision],
        tags=row.tags or {}, complete_for=list(row.complete_for),
    )  # fmt: skip


def camera(row: m.Camera) -> s.CameraView:
    """Return the view of a camera."""
    health = row.health
    return s.CameraView(
        camera=row.name,
        source=row.source,
        width=row.width,
        height=row.height,
        latitude=row.latitude,
        longitude=row.longitude,
        last_frame_id=row.last_frame_id,
        last_frame_at=row.last_frame_at,
        **{
            name: health[name]
            for name in (
                "state", "detail", "fps", "frames", "selected", "latency_p95_ms", "blur", "uncertainty", "alerts",
            )
            if name in health
        },
    )  # fmt: skip


def node(row: m.Node) -> s.NodeView:
    """Return the view of a node whose cameras are loaded."""
    update = row.update
    return s.NodeView(
        node=row.name,
        site=row.site,
        state=cast(s.NodeState, row.state),
        since=row.since,
        version=row.version,
        backend=row.backend,
        pack=row.pack,
        release=row.release,
        update=s.UpdateView(step=update["step"], progress=update.get("progress", 0.0), reason=update.get("reason", ""))
        if update
        else None,
        spool_frames=row.spool_frames,
        spool_bytes=row.spool_bytes,
        temperature_c=row.temperature_c,
        cameras=[camera(c) for c in row.cameras],
    )


def round_(row: m.Round) -> s.RoundView:
    """Return the view of a round."""
    names = s.RoundView.model_fields
    return s.RoundView.model_validate({name: getattr(row, name) for name in names})


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def pack(row: m.Pack, running: Mapping[str, Sequence[str]]) -> s.PackView:
    """Return the view of a pack; `running` has the nodes by the pack that they run."""
    return s.PackView(
        address=row.address,
        name=row.name,
        size_bytes=row.size_bytes,
        labels=list(row.labels),
        created=_time(row.created) or row.registered,
        parent=row.parent,
        metrics={name: value for name, value in row.metrics.items() if "/" not in name},  # those of cameras: the diff
        running_on=list(running.get(row.address, ())),
        held=row.held,
        overridden=row.overridden,
    )


def release(row: m.Release) -> s.ReleaseView:
    """Return the view of a release whose nodes are loaded."""
    return s.ReleaseView(
        number=row.number,
        pack=row.pack,
        name=row.name,
        at=row.at,
        by=row.by,
        notes=row.notes,
        rollout=row.rollout,
        nodes=[
            s.ReleaseNodeView(node=n.node, step=n.step, progress=n.progress, reason=n.reason, at=n.at)
            for n in row.nodes
        ],
    )


def profile(value: Profile) -> s.ProfileView:
    """Return the view of the project's profile."""
    return s.ProfileView(
        name=value.name,
        labels=[s.LabelView(name=x.name, color=x.color, key=x.key) for x in value.labels],
        tags=[s.TagView(name=x.name, group=x.group, title=x.title) for x in value.tags],
    )
