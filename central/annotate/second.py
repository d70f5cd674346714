"""Second opinions: a share of the labelled frames is shown to another person, who does not see the first answer.

    first answer -> drawn by its id? -> `wanted` -> another person's answer -> do they agree? -> `agreed`
                                                                                             -> `disputed` -> `settled`

While one is wanted, what another person says about the frame is that opinion, and changes no label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.boxes import LabelBox, mask_of
from central.annotate.verdicts import pair
from central.store.models import Frame, LabelRevision, Opinion
from protocols.messages import utc_now

WANTED: Final = "wanted"
AGREED: Final = "agreed"
DISPUTED: Final = "disputed"
SETTLED: Final = "settled"


def drawn(frame: str, share: float) -> bool:
    """Return whether `frame` is among the `share` 0..1 that is answered twice: by its id, whoever asks."""
    number = int.from_bytes(hashlib.sha256(f"second/{frame}".encode()).digest()[:8], "big")
    return number < share * 2.0**64


def blind(frame: Frame, person: str) -> bool:
    """Return whether `person` is one whose second opinion about `frame` is wanted, and must not see the first."""
    return frame.opinion == WANTED and frame.state == "labelled" and frame.labelled_by != person


def boxes_of(rows: Sequence[Mapping[str, Any]]) -> list[LabelBox]:
    """Return the boxes of an answer as the database has them."""
    found = []
    for row in rows:
        x1, y1, x2, y2 = (float(v) for v in row["box"])
        found.append(LabelBox((x1, y1, x2, y2), str(row["label"]), mask=mask_of(row.get("mask"))))
    return found


def agree(
    first: Sequence[LabelBox], second: Sequence[LabelBox], tags: Mapping[str, str], other_tags: Mapping[str, str]
) -> bool:
    """Return whether two answers say the same: the same objects with the same labels, and no tag the other way."""
    found = pair(first, second)
    same = len(found) == len(first) == len(second)
    labels = all(first[i].label == second[j].label for i, j, _ in found)
    return same and labels and all(tags[name] == other_tags[name] for name in tags.keys() & other_tags.keys())


async def give(session: AsyncSession, frame: Frame, opinion: Opinion) -> bool:
    """Store a second opinion about `frame` in the open write transaction.

    False where the frame is not any more as it was seen: nothing is stored then.
    """
    first = await session.get(LabelRevision, (frame.id, frame.revision))
    if first is None or opinion.revision != frame.revision:
        return False
    same = agree(boxes_of(first.boxes), boxes_of(opinion.boxes), first.tags or {}, opinion.tags)
    result = await session.execute(
        update(Frame)
        .where(Frame.id == frame.id, Frame.revision == frame.revision, Frame.opinion == WANTED)
        .values(opinion=AGREED if same else DISPUTED)
        .execution_options(synchronize_session=False)
        .returning(Frame.id)
    )
    if result.first() is None:
        return False
    opinion.first, opinion.at = first.author, utc_now()
    await session.merge(opinion)
    return True


async def disputed(session: AsyncSession, limit: int) -> list[tuple[Frame, LabelRevision, Opinion]]:
    """Return frames with two answers that differ, oldest opinion first, with both answers."""
    query = (
        select(Frame, LabelRevision, Opinion)
        .join(Opinion, Opinion.frame == Frame.id)
        .join(LabelRevision, (LabelRevision.frame == Frame.id) & (LabelRevision.revision == Opinion.revision))
        .where(Frame.opinion == DISPUTED)
        .order_by(Opinion.at)
        .limit(limit)
    )
    return [(frame, first, opinion) for frame, first, opinion in await session.execute(query)]
