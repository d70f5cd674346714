"""Tags that machines propose: what each of them says, what all say together, and what people made of it.

A tag that a person answered is theirs: `Frame.tags` has it, and nothing here changes that. In the accuracy of sources a
tag goes by the name ``tag:NAME``; the proposal is that it is present, with its score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.sources import Curves, worth
from central.store.bulk import Bulk
from central.store.models import Frame, TagProposal, Verdict
from protocols.messages import utc_now

PREFIX: Final = "tag:"
_INSERT: Final = Bulk(cast(Table, TagProposal.__table__), ["frame", "tag", "source", "score", "confidence", "at"])


def measured_as(tag: str) -> str:
    """Return the name of `tag` among those that sources are measured by."""
    return f"{PREFIX}{tag}"[:64]


async def put(session: AsyncSession, source: str, scores: Mapping[str, Mapping[str, float]], curves: Curves) -> None:
    """Store what `source` says of the tags of some frames, in place of what it said before, in the open transaction.

    `scores` are 0..1 by frame and tag, that a tag is present; `curves` say what they are worth, where it was measured.
    """
    await session.execute(
        delete(TagProposal)
        .where(TagProposal.frame.in_(scores), TagProposal.source == source)
        .execution_options(synchronize_session=False)
    )
    rows = [_row(frame, source, tag, score, curves) for frame, own in scores.items() for tag, score in own.items()]
    await _INSERT.run_in(session, rows)
    said: dict[str, dict[str, list[float]]] = {frame: defaultdict(list) for frame in scores}
    columns = select(TagProposal.frame, TagProposal.tag, TagProposal.score, TagProposal.confidence)
    for frame, tag, score, measured in await session.execute(columns.where(TagProposal.frame.in_(scores))):
        said[frame][tag].append(score if measured is None else measured)
    means = [
        {"id": frame, "tag_proposals": {tag: round(sum(v) / len(v), 4) for tag, v in own.items()}}
        for frame, own in said.items()
    ]
    if means:
        await session.execute(update(Frame), means)


def _row(frame: str, source: str, tag: str, score: float, curves: Curves) -> dict[str, Any]:
    sure = worth(curves, source, measured_as(tag), score)
    return {"frame": frame, "tag": tag, "source": source, "score": score, "confidence": sure, "at": utc_now()}


async def judge(session: AsyncSession, frame: str, revision: int, tags: Mapping[str, str]) -> None:
    """Store what a person's `tags` (``present`` or ``absent``) say of the proposals on `frame`."""
    rows = await session.scalars(select(TagProposal).where(TagProposal.frame == frame, TagProposal.tag.in_(tags)))
    session.add_all(
        [
            Verdict(
                frame=frame, revision=revision, source=row.source, label=measured_as(row.tag), score=row.score,
                outcome="kept" if tags[row.tag] == "present" else "deleted",
            )
            for row in rows
        ]
    )  # fmt: skip


async def said(session: AsyncSession, frames: Sequence[str]) -> Mapping[str, list[TagProposal]]:
    """Return what machines say of the tags of each of `frames` of which one said anything."""
    found: dict[str, list[TagProposal]] = defaultdict(list)
    query = select(TagProposal).where(TagProposal.frame.in_(frames)).order_by(TagProposal.tag, TagProposal.source)
    for row in await session.scalars(query):
        found[row.frame].append(row)
    return found
