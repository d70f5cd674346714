"""An answer to a single question: a partial label, kept on a frame that goes on waiting for the rest.

    yes to a box        the box is a label                no        the proposal goes, and is not made again
    present, absent     the tag is known
    nothing is missing  the boxes shown are labels, and the frame is complete for the classes that were looked for
    something is        the frame has to be reviewed whole
    a click             a point on the frame: the proposal that fits it is surer, its rivals less
    there is none       the frame is complete for the class that was to be clicked
    can't tell          nobody is asked this again

A frame that is complete for every class of the project waits no more. Like a whole review, an answer names the revision
that it was given for, is kept as a revision of its own, and counts once however often it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import drafts, leases, queue, tag_proposals
from central.annotate.asking import Costs
from central.annotate.asking.choose import Known, options, told
from central.annotate.asking.click import Spot, weighed
from central.annotate.asking.store import renew
from central.annotate.boxes import MAX_BOXES, LabelBox, LabelError, check, check_labels, check_tags
from central.annotate.verdicts import SAME_OBJECT, UNMOVED, corners, iou
from central.store.models import Annotation, Frame, LabelRevision, QuestionAnswer, Verdict
from protocols.messages import Box, utc_now

Kind = Literal["box", "missing", "tag", "click"]
Said = Literal["yes", "no", "nothing", "something", "present", "absent", "point", "none", "cant_tell"]
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "box": ("yes", "no", "cant_tell"),
    "missing": ("nothing", "something", "cant_tell"),
    "tag": ("present", "absent", "cant_tell"),
    "click": ("point", "none", "cant_tell"),
}
STATE: Final = "answered"
"""Of the revision that an answer makes."""


@dataclass(frozen=True)
class Reply:
    """What `author` answers to a question about `frame`, seen at `revision`."""

    frame: str
    revision: int
    author: str
    kind: Kind
    answer: Said
    labels: Sequence[str] = ()
    tag: str | None = None
    boxes: Sequence[LabelBox] = ()
    seconds: float | None = None
    point: Spot | None = None
    """Of a click: where, in pixels of the frame."""

    @property
    def looked(self) -> bool:
        """Whether the frame was looked through for `labels`, and has no more of them than `boxes`."""
        return self.answer in ("nothing", "none")

    @property
    def asked(self) -> dict[str, Any]:
        """The question, as it is stored."""
        boxes = [told(box.box, box.label) for box in self.boxes]
        point = None if self.point is None else [round(v, 2) for v in self.point]
        known = {"labels": list(self.labels), "tag": self.tag, "boxes": boxes, "point": point}
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True)
class Project:
    """What may be answered, and what answers cost."""

    labels: Sequence[str]
    tags: Sequence[str] = ()
    costs: Costs | None = None


def _check(reply: Reply, project: Project, frame: Frame) -> list[LabelBox]:
    """Return the boxes of `reply`, clipped. Raises LabelError."""
    if reply.answer not in ALLOWED[reply.kind]:
        allowed = ", ".join(ALLOWED[reply.kind])
        raise LabelError("wrong_answer", f"a question of kind {reply.kind} is answered by one of {allowed}")
    if (reply.kind == "tag") != (reply.tag is not None) or (reply.kind in ("missing", "click")) != bool(reply.labels):
        raise LabelError("wrong_question", "give a tag with kind tag, labels with kind missing, and one box with box")
    if (reply.kind == "box" and len(reply.boxes) != 1) or (reply.kind in ("tag", "click") and reply.boxes):
        raise LabelError("wrong_question", "a question of kind box has exactly one box, one of kind tag or click none")
    _check_point(reply, frame)
    if reply.tag is not None:
        check_tags({reply.tag: "present"}, project.tags)
    check_labels(reply.labels, project.labels)
    for given in reply.boxes:
        if reply.kind == "missing" and given.label not in reply.labels:
            raise LabelError("wrong_question", f"a box of {given.label!r}, which is not among those looked for")
    return check(reply.boxes, frame.width, frame.height, project.labels)


def _check_point(reply: Reply, frame: Frame) -> None:
    if reply.kind == "click" and len(reply.labels) != 1:
        raise LabelError("wrong_question", "a question of kind click has exactly one label")
    if (reply.point is not None) != (reply.answer == "point"):
        raise LabelError("wrong_answer", "give a point with answer point, and with no other")
    if reply.point is not None and not (0 <= reply.point[0] <= frame.width and 0 <= reply.point[1] <= frame.height):
        where = f"outside the {frame.width} x {frame.height} frame; give x, y in pixels of the frame"
        raise LabelError("bad_point", f"the point {reply.point} is {where}")


async def _again(session: AsyncSession, reply: Reply) -> bool:
    """Whether just this answer was taken: its receipt was lost, and it came once more."""
    query = select(QuestionAnswer).where(
        QuestionAnswer.frame == reply.frame, QuestionAnswer.revision == reply.revision + 1
    )
    last = (await session.scalars(query)).first()
    return last is not None and (last.author, last.kind, last.answer, last.question) == (
        reply.author, reply.kind, reply.answer, reply.asked
    )  # fmt: skip


def _nearest(proposals: Iterable[Annotation], box: Box, label: str) -> Annotation | None:
    close = [(iou(corners(p), box), p.id, p) for p in proposals if p.label == label]
    best = max(close, key=lambda c: c[:2], default=None)
    return best[2] if best is not None and best[0] >= SAME_OBJECT else None


@dataclass
class _Change:
    """What an answer does to the rows of a frame."""

    add: list[Annotation]
    gone: list[int]
    verdicts: list[Verdict]
    surer: dict[int, float] = field(default_factory=dict)
    """New confidence of proposals, by id."""


def _change(reply: Reply, boxes: Sequence[LabelBox], frame: Frame) -> _Change:
    """Return what `reply`, with its checked `boxes`, does to the annotations of `frame`."""
    proposals = [a for a in frame.annotations if not a.confirmed]
    labels = [a for a in frame.annotations if a.confirmed]
    done = _Change([], [], [])

    def judge(proposal: Annotation, outcome: Literal["kept", "deleted"]) -> None:
        proposals.remove(proposal)
        done.gone.append(proposal.id)
        done.verdicts.append(
            Verdict(
                frame=frame.id, revision=reply.revision + 1, source=proposal.source, label=proposal.label,
                score=proposal.score, outcome=outcome,
            )
        )  # fmt: skip

    for given in boxes if reply.answer in ("yes", "no", "nothing") else ():
        origin = _nearest(proposals, given.box, given.label)
        if origin is not None:
            judge(origin, "deleted" if reply.answer == "no" else "kept")
        known = any(a.label == given.label and iou(corners(a), given.box) >= UNMOVED for a in labels)
        if reply.answer != "no" and not known:
            done.add.append(_label(reply, given, origin))
    if reply.point is not None:
        done.surer = {p.id: sure for p, sure in weighed(proposals, reply.labels[0], reply.point)}
    if reply.looked:
        for proposal in [p for p in proposals if p.label in reply.labels]:
            judge(proposal, "deleted")
    return done


def _label(reply: Reply, given: LabelBox, origin: Annotation | None) -> Annotation:
    x1, y1, x2, y2 = given.box
    row = Annotation(
        frame=reply.frame, x1=x1, y1=y1, x2=x2, y2=y2, label=given.label, source=queue.PERSON, confirmed=True,
        revision=reply.revision + 1, author=reply.author,
    )  # fmt: skip
    if origin is not None:
        row.origin, row.origin_score = origin.source, origin.score
        row.moved = iou(corners(origin), given.box) < UNMOVED
    return row


def _left(frame: Frame, reply: Reply, project: Project) -> float:
    """Return the share of what the frame could bring that is left after `reply`."""
    before = options(frame, [a for a in frame.annotations if not a.confirmed], Known(project.labels, project.tags))
    whole = max((q.gain for q in before), default=0.0)
    mine = max((q.gain for q in before if q.kind == reply.kind), default=0.0)
    return 1.0 if whole <= 0 or reply.answer == "something" else max(0.0, 1.0 - mine / whole)


def _tags_of(reply: Reply, project: Project) -> dict[str, str]:
    """Return the tags that are known from `reply`; a click says that its class is there, where that is a tag, too."""
    if reply.tag is not None:
        return {} if reply.answer == "cant_tell" else {reply.tag: reply.answer}
    if reply.kind == "click" and reply.answer != "cant_tell" and reply.labels[0] in project.tags:
        return {reply.labels[0]: "absent" if reply.looked else "present"}
    return {}


async def _turn(session: AsyncSession, reply: Reply, frame: Frame, project: Project) -> None:
    """Move the frame to its next revision, with what was said of it. Raises ConflictError."""
    complete = set(frame.complete_for) | (set(reply.labels) if reply.looked else set())
    tags = frame.tags | _tags_of(reply, project)
    values: dict[str, Any] = {
        "revision": reply.revision + 1, "complete_for": sorted(complete), "tags": tags,
        "value": frame.value * _left(frame, reply, project),
    }  # fmt: skip
    if complete >= set(project.labels):
        values |= {"state": "labelled", "labelled_at": utc_now(), "labelled_by": reply.author}
    turn = update(Frame).where(Frame.id == frame.id, Frame.revision == reply.revision, Frame.state == "pending")
    result = await session.execute(
        turn.values(**values).execution_options(synchronize_session=False).returning(Frame.id)
    )
    if result.first() is None:
        current = await queue.load(session, frame.id)
        session.expunge_all()
        raise queue.ConflictError(current)


async def answer(session: AsyncSession, reply: Reply, project: Project) -> Frame:
    """Store `reply` in the open write transaction and return the frame as it is then, its next question with it.

    Raises LabelError, FrameMissingError, ConflictError (also where the frame waits no more) and LeasedError; after any
    of them nothing is stored.
    """
    frame = await queue.load(session, reply.frame)
    boxes = _check(reply, project, frame)
    if frame.revision == reply.revision + 1 and await _again(session, reply):
        return frame
    await leases.must_be_free(session, frame.id, reply.author)
    if len(frame.annotations) + len(boxes) > MAX_BOXES:
        raise LabelError("too_many_boxes", f"a frame has at most {MAX_BOXES} boxes")
    change = _change(reply, boxes, frame)
    await _turn(session, reply, frame, project)
    session.expunge_all()
    await session.execute(delete(Annotation).where(Annotation.id.in_(change.gone)))
    for name, confidence in change.surer.items():
        await session.execute(update(Annotation).where(Annotation.id == name).values(confidence=confidence))
    session.add_all([*change.add, *change.verdicts])
    session.add(
        QuestionAnswer(
            frame=reply.frame, revision=reply.revision + 1, kind=reply.kind, question=reply.asked, answer=reply.answer,
            seconds=reply.seconds, author=reply.author,
        )
    )  # fmt: skip
    if reply.tag is not None and reply.answer in ("present", "absent"):
        await tag_proposals.judge(session, reply.frame, reply.revision + 1, {reply.tag: reply.answer})
    await session.flush()
    now = await queue.load(session, reply.frame)
    session.add(_remembered(now, reply))
    await renew(session, now, project.labels, project.tags, project.costs)
    await drafts.forget(session, reply.frame, reply.author)
    await leases.give_up(session, [reply.frame], reply.author)
    await session.flush()
    session.expunge_all()
    return await queue.load(session, reply.frame)


def _remembered(frame: Frame, reply: Reply) -> LabelRevision:
    boxes = [told(corners(a), a.label) | ({"mask": a.mask} if a.mask else {}) for a in frame.annotations if a.confirmed]
    return LabelRevision(
        frame=frame.id, revision=frame.revision, author=reply.author, at=utc_now(), state=STATE, boxes=boxes,
        complete_for=list(frame.complete_for), tags=dict(frame.tags), seconds=reply.seconds,
    )  # fmt: skip
