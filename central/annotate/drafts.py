"""What people have on the screen and did not save, and what they want others to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store.models import Draft, Flag, Lease
from protocols.messages import utc_now

MAX_DRAFTS: Final = 200
"""Of one person; the oldest is forgotten."""


@dataclass(frozen=True)
class Marks:
    """What stands on a frame beside its labels, for one person: the draft is their own."""

    lease: Lease | None = None
    flag: Flag | None = None
    draft: Draft | None = None


@dataclass(frozen=True)
class Sheet:
    """What somebody has on the screen: boxes as they were sent."""

    revision: int
    boxes: Sequence[Mapping[str, Any]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    complete_for: Sequence[str] = ()


async def marks(session: AsyncSession, frames: Sequence[str], person: str) -> dict[str, Marks]:
    """Return the marks of each of `frames` as `person` sees them."""
    now = utc_now()
    leases = {x.frame: x for x in await session.scalars(select(Lease).where(Lease.frame.in_(frames))) if x.until > now}
    flags = {x.frame: x for x in await session.scalars(select(Flag).where(Flag.frame.in_(frames)))}
    own = select(Draft).where(Draft.frame.in_(frames), Draft.author == person)
    drafts = {x.frame: x for x in await session.scalars(own)}
    return {name: Marks(leases.get(name), flags.get(name), drafts.get(name)) for name in frames}


async def keep(session: AsyncSession, frame: str, person: str, sheet: Sheet) -> Draft:
    """Keep `sheet` as the draft of `person` for `frame`, which exists, in the open write transaction."""
    await forget(session, frame, person)
    newest = select(Draft.frame).where(Draft.author == person).order_by(Draft.at.desc()).offset(MAX_DRAFTS - 1)
    surplus = list(await session.scalars(newest))
    if surplus:
        await session.execute(delete(Draft).where(Draft.author == person, Draft.frame.in_(surplus)))
    draft = Draft(
        frame=frame, author=person, revision=sheet.revision, boxes=[dict(b) for b in sheet.boxes],
        tags=dict(sheet.tags), complete_for=list(sheet.complete_for), at=utc_now(),
    )  # fmt: skip
    session.add(draft)
    await session.flush()
    return draft


async def forget(session: AsyncSession, frame: str, person: str) -> None:
    """Forget the draft of `person` for `frame` in the open write transaction."""
    gone = delete(Draft).where(Draft.frame == frame, Draft.author == person)
    await session.execute(gone.execution_options(synchronize_session=False))


async def flag(session: AsyncSession, frame: str, person: str, note: str) -> None:
    """Mark `frame`, which exists, for others to look at, in the open write transaction; a former mark gives way."""
    await unflag(session, frame)
    session.add(Flag(frame=frame, by=person, note=note, at=utc_now()))


async def unflag(session: AsyncSession, frame: str) -> None:
    """Take the mark off in the open write transaction."""
    await session.execute(delete(Flag).where(Flag.frame == frame).execution_options(synchronize_session=False))
