"""Which frame is asked next, and answering it.

Every answer names the revision of the frame that it was given for. The revision is compared and set by one UPDATE in
the transaction that stores the answer, so of two people who looked at the same frame one is told of the other's
answer, and no acknowledged answer is ever overwritten unseen. Each answer is also kept as a row of its own, and the
same answer sent twice, because its receipt was lost, is one.

    next_frame -> lease -> label | skip | (second opinion) -> revision, verdicts on proposals, history
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.annotate import drafts, leases, second, tag_proposals
from central.annotate.boxes import LabelBox, check, check_labels, check_tags, mask_of, plain_mask
from central.annotate.verdicts import judge
from central.store.models import Annotation, Frame, LabelRevision, Opinion, QuestionAnswer, Verdict
from protocols.messages import utc_now

PERSON: Final = "person"
IMPORT: Final = "import"
"""Source of labels from a file, which wait for nobody."""
SkipReason = Literal["skipped", "cant_tell"]


class FrameMissingError(LookupError):
    """A frame that does not exist."""


class ConflictError(Exception):
    """Somebody else answered first; `frame` is what they left."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(f"frame {frame.id} is at revision {frame.revision}")
        self.frame = frame


@dataclass(frozen=True)
class Answer:
    """What somebody says about a frame, having seen it at `revision`. `source` is ``person`` or a machine's name."""

    frame: str
    revision: int
    author: str
    boxes: Sequence[LabelBox] = ()
    complete_for: Sequence[str] = ()
    source: str = PERSON
    tags: Mapping[str, str] = field(default_factory=dict)
    """``present`` or ``absent`` by name; what is not there is unknown."""
    seconds: float | None = None
    """How long it took."""


@dataclass(frozen=True)
class Sites:
    """Of which sites somebody is given frames: of those `named`, or, where not `only` of those, of all but them."""

    only: bool = False
    named: tuple[str, ...] = ()


EVERYWHERE: Final = Sites()


async def load(session: AsyncSession, frame: str) -> Frame:
    """Return the frame with its annotations. Raises FrameMissingError."""
    found = await session.scalar(
        select(Frame)
        .where(Frame.id == frame)
        .options(selectinload(Frame.annotations))
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise FrameMissingError(frame)
    return found


async def waiting(session: AsyncSession, limit: int, untouched: bool = False) -> list[Frame]:
    """Return the `limit` most valuable frames that wait, best first.

    `untouched`: only those of which nobody answered a single question, either.
    """
    query = select(Frame).where(Frame.state == "pending")
    if untouched:
        query = query.where(~exists().where(QuestionAnswer.frame == Frame.id))
    query = query.order_by(Frame.value.desc(), Frame.id.desc()).limit(limit)
    return list(await session.scalars(query.options(selectinload(Frame.annotations))))


async def next_frame(
    session: AsyncSession, person: str, skip: Collection[str] = (), sites: Sites = EVERYWHERE
) -> Frame | None:
    """Return the most valuable frame for `person`, leased to them in the open write transaction; None where none waits.

    Passed over are the frames of `skip`, of other `sites`, and those that somebody else looks at. Frames whose second
    opinion is wanted of `person` come in the same order as those that nobody answered.
    """
    free = [Frame.id.not_in(skip), ~leases.held_by_others(person)]
    if sites.only or sites.named:
        free.append(Frame.site.in_(sites.named) if sites.only else Frame.site.not_in(sites.named))
    # By what the state is not: by what it is, SQLite would go through all labelled frames for the few that are doubled.
    labelled = Frame.state.not_in(("pending", "skipped"))
    doubled = (Frame.opinion == second.WANTED, labelled, Frame.labelled_by != person)
    best = None
    for kind in ((Frame.state == "pending",), doubled):
        query = select(Frame.id, Frame.value).where(*kind, *free)
        row = (await session.execute(query.order_by(Frame.value.desc(), Frame.id.desc()).limit(1))).first()
        if row is not None and (best is None or row[1] > best[1]):
            best = row
    if best is None:
        return None
    await leases.take(session, best[0], person)
    return await load(session, best[0])


async def previous(session: AsyncSession, frame: Frame, person: str) -> Frame | None:
    """Return the last labelled frame of the same camera before `frame`, of those that `person` may see."""
    query = (
        select(Frame)
        .where(Frame.node == frame.node, Frame.camera == frame.camera, Frame.id < frame.id, Frame.state == "labelled")
        .where((Frame.opinion.is_(None)) | (Frame.opinion != second.WANTED) | (Frame.labelled_by == person))
        .order_by(Frame.id.desc())
        .limit(1)
        .options(selectinload(Frame.annotations))
    )
    return (await session.scalars(query)).first()


async def pending(session: AsyncSession) -> int:
    """Return how many frames wait."""
    return int(await session.scalar(select(func.count()).select_from(Frame).where(Frame.state == "pending")) or 0)


async def page(
    session: AsyncSession, node: str | None, camera: str | None, state: str | None, before: str | None, limit: int
) -> list[Frame]:
    """Return up to `limit` frames older than `before` (a frame id), newest first."""
    query = select(Frame).order_by(Frame.id.desc()).limit(limit).options(selectinload(Frame.annotations))
    for column, value in ((Frame.node, node), (Frame.camera, camera), (Frame.state, state)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(Frame.id < before)
    return list(await session.scalars(query))


async def history(session: AsyncSession, frame: str) -> list[LabelRevision]:
    """Return every answer about `frame`, oldest first."""
    query = select(LabelRevision).where(LabelRevision.frame == frame).order_by(LabelRevision.revision)
    return list(await session.scalars(query))


async def _refuse(session: AsyncSession, frame: str) -> ConflictError:
    current = await load(session, frame)
    session.expunge_all()  # what is shown must outlive the transaction, which is rolled back
    return ConflictError(current)


async def _take_turn(
    session: AsyncSession, answer: Answer, state: Literal["labelled", "skipped"], more: Mapping[str, Any]
) -> int:
    """Move the frame from the answer's revision to the next, returned. Raises ConflictError."""
    result = await session.execute(
        update(Frame)
        .where(Frame.id == answer.frame, Frame.revision == answer.revision)
        .values(
            revision=answer.revision + 1, state=state, labelled_at=utc_now(), labelled_by=answer.author, **more
        )
        .execution_options(synchronize_session=False)
        .returning(Frame.id)
    )  # fmt: skip
    if result.first() is None:
        raise await _refuse(session, answer.frame)
    return answer.revision + 1


def _records(boxes: Sequence[LabelBox]) -> list[dict[str, Any]]:
    """Return boxes as history keeps them."""
    plain: list[dict[str, Any]] = []
    for given in boxes:
        outline = {} if given.mask is None else {"mask": plain_mask(given.mask)}
        plain.append({"box": list(given.box), "label": given.label} | outline)
    return plain


def _remember(session: AsyncSession, answer: Answer, revision: int, state: str, boxes: Sequence[LabelBox]) -> None:
    session.add(
        LabelRevision(
            frame=answer.frame, revision=revision, author=answer.author, at=utc_now(), state=state,
            boxes=_records(boxes), complete_for=list(answer.complete_for), tags=dict(answer.tags),
            seconds=answer.seconds,
        )
    )  # fmt: skip


async def _again(session: AsyncSession, answer: Answer, boxes: Sequence[LabelBox], state: str) -> bool:
    """Whether the last answer about the frame is just this one: its receipt was lost, and it came once more."""
    last = await session.get(LabelRevision, (answer.frame, answer.revision + 1))
    return (
        last is not None
        and (last.author, last.state, last.boxes) == (answer.author, state, _records(boxes))
        and (last.complete_for, last.tags) == (list(answer.complete_for), dict(answer.tags))
    )


async def _clear(session: AsyncSession, answer: Answer) -> None:
    """End what the author had open of the frame."""
    await drafts.forget(session, answer.frame, answer.author)
    await leases.give_up(session, [answer.frame], answer.author)


async def _second(session: AsyncSession, frame: Frame, answer: Answer, boxes: Sequence[LabelBox]) -> Frame:
    """Take `answer` as the second opinion about `frame`. Raises ConflictError."""
    opinion = Opinion(
        frame=frame.id, author=answer.author, revision=answer.revision, boxes=_records(boxes),
        complete_for=list(answer.complete_for), tags=dict(answer.tags), seconds=answer.seconds,
    )  # fmt: skip
    if not await second.give(session, frame, opinion):
        raise await _refuse(session, frame.id)
    await _clear(session, answer)
    await session.flush()
    return await load(session, frame.id)


async def _replace(
    session: AsyncSession, answer: Answer, revision: int, boxes: Sequence[LabelBox], frame: Frame
) -> None:
    """Store `boxes` in place of all of `frame`, and, where a person gave them, what they say of its proposals."""
    judged = judge(boxes, [a for a in frame.annotations if not a.confirmed], answer.complete_for)
    session.expunge_all()  # the ids of the rows that go may be given again
    await session.execute(delete(Annotation).where(Annotation.frame == answer.frame))
    for given, origin in zip(boxes, judged.origins, strict=True):
        x1, y1, x2, y2 = given.box
        row = Annotation(
            frame=answer.frame, x1=x1, y1=y1, x2=x2, y2=y2, label=given.label, source=answer.source,
            score=given.score, confirmed=True, revision=revision, author=answer.author, mask=plain_mask(given.mask),
        )  # fmt: skip
        if origin is not None:
            row.origin, row.origin_score, row.moved = origin[0].source, origin[0].score, origin[1]
        session.add(row)
    if answer.source == PERSON:
        session.add_all(
            Verdict(frame=frame.id, revision=revision, source=v.source, label=v.label, score=v.score, outcome=v.outcome)
            for v in judged.verdicts
        )


async def label(
    session: AsyncSession,
    answer: Answer,
    known: Collection[str],
    known_tags: Collection[str] = (),
    share: float = 0.0,
    settles: bool = False,
) -> Frame:
    """Store `answer` in the open write transaction and return the frame as it is then.

    The answer's boxes and tags replace all boxes and tags of the frame, proposals included; what the node proposed
    stays in `Frame.detections`. Of `share` of the frames that people answer a second opinion is wanted; an answer that
    `settles` is the last word. Raises LabelError, FrameMissingError, ConflictError, LeasedError; after any of them
    nothing is stored.
    """
    frame = await load(session, answer.frame)
    boxes = check(answer.boxes, frame.width, frame.height, known)
    check_labels(answer.complete_for, known)
    check_tags(answer.tags, known_tags)
    person, state = answer.source == PERSON, "adjudicated" if settles else "labelled"
    if frame.revision == answer.revision + 1 and await _again(session, answer, boxes, state):
        return frame
    if answer.source != IMPORT:
        await leases.must_be_free(session, frame.id, answer.author)
    if person and not settles and second.blind(frame, answer.author):
        return await _second(session, frame, answer, boxes)
    opinion = second.SETTLED if settles else frame.opinion
    if person and opinion is None and second.drawn(frame.id, share):
        opinion = second.WANTED
    more = {"complete_for": sorted(set(answer.complete_for)), "tags": dict(answer.tags), "opinion": opinion}
    revision = await _take_turn(session, answer, "labelled", more)
    await _replace(session, answer, revision, boxes, frame)
    if person and answer.tags:
        await tag_proposals.judge(session, answer.frame, revision, answer.tags)
    _remember(session, answer, revision, state, boxes)
    await _clear(session, answer)
    await session.flush()
    session.expunge_all()
    return await load(session, answer.frame)


async def skip(session: AsyncSession, answer: Answer, reason: SkipReason = "skipped") -> Frame:
    """Put the frame aside in the open write transaction; its boxes stay. Raises FrameMissingError, ConflictError,
    LeasedError. Where a second opinion was wanted, it is not any more, and the frame stays labelled."""
    frame = await load(session, answer.frame)
    boxes = [
        LabelBox((a.x1, a.y1, a.x2, a.y2), a.label, mask=mask_of(a.mask)) for a in frame.annotations if a.confirmed
    ]
    if frame.revision == answer.revision + 1 and await _again(session, answer, boxes, reason):
        return frame
    await leases.must_be_free(session, frame.id, answer.author)
    if answer.source == PERSON and second.blind(frame, answer.author):
        return await _decline(session, answer)
    revision = await _take_turn(session, answer, "skipped", {})
    _remember(session, answer, revision, reason, boxes)
    await _clear(session, answer)
    await session.flush()
    return await load(session, answer.frame)


async def _decline(session: AsyncSession, answer: Answer) -> Frame:
    """Note that no second opinion will come. Raises ConflictError."""
    result = await session.execute(
        update(Frame)
        .where(Frame.id == answer.frame, Frame.revision == answer.revision, Frame.opinion == second.WANTED)
        .values(opinion=second.SETTLED)
        .execution_options(synchronize_session=False)
        .returning(Frame.id)
    )
    if result.first() is None:
        raise await _refuse(session, answer.frame)
    await _clear(session, answer)
    return await load(session, answer.frame)
