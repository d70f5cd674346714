"""Who looks at which frame now. A lease ends by itself: whoever went away holds nobody up."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store.models import Frame, Lease
from protocols.messages import utc_now

LEASE_S: Final = 120.0
"""Seconds; a screen that is open renews it, and a person who was called away is waited for no longer."""
MAX_HELD: Final = 20
"""Leases of one person: what a screen loads ahead. The oldest ends when another one is taken."""


class LeasedError(Exception):
    """Somebody else looks at the frame."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(f"{lease.by} looks at this frame until {lease.until:%H:%M:%S} UTC")
        self.lease = lease


def held_by_others(person: str) -> ColumnElement[bool]:
    """Return the condition that somebody other than `person` looks at a `Frame`."""
    return exists().where(Lease.frame == Frame.id, Lease.by != person, Lease.until > utc_now())


async def holder(session: AsyncSession, frame: str) -> Lease | None:
    """Return the lease of `frame` that has not ended."""
    lease = await session.get(Lease, frame, populate_existing=True)
    return lease if lease is not None and lease.until > utc_now() else None


async def must_be_free(session: AsyncSession, frame: str, person: str) -> None:
    """Raise LeasedError where somebody other than `person` looks at `frame`."""
    lease = await holder(session, frame)
    if lease is not None and lease.by != person:
        session.expunge(lease)
        raise LeasedError(lease)


async def take(session: AsyncSession, frame: str, person: str, seconds: float = LEASE_S) -> Lease:
    """Lease `frame`, which exists, to `person`, or renew it, in the open write transaction. Raises LeasedError."""
    await must_be_free(session, frame, person)
    now = utc_now()
    await session.execute(delete(Lease).where(or_(Lease.frame == frame, Lease.until <= now)))
    held = select(Lease.frame).where(Lease.by == person).order_by(Lease.until.desc()).offset(MAX_HELD - 1)
    surplus = list(await session.scalars(held))
    if surplus:
        await session.execute(delete(Lease).where(Lease.frame.in_(surplus)))
    session.expunge_all()
    lease = Lease(frame=frame, by=person, until=now + timedelta(seconds=seconds))
    session.add(lease)
    await session.flush()
    return lease


async def give_up(session: AsyncSession, frames: Collection[str], person: str) -> None:
    """End the leases of `frames` that `person` holds, in the open write transaction."""
    await session.execute(delete(Lease).where(Lease.frame.in_(frames), Lease.by == person))
