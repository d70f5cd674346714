"""Who did what, when and why: written in the same transaction as what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.releases.rollout import CENTRE, state
from central.store.models import Rollout, RolloutEvent

MOST = 500
"""Events that are shown of one rollout; the newest ones."""


def note(
    session: AsyncSession, rollout: Rollout, kind: str, reason: str, now: datetime, by: str = CENTRE, **data: Any
) -> None:
    """Write down that something of `kind` happened, which left the rollout's state as it is."""
    session.add(
        RolloutEvent(
            rollout=rollout.id, at=now, by=by, kind=kind, from_state=rollout.state, to_state=rollout.state,
            reason=reason[:2000], data=data,
        )
    )  # fmt: skip


def change(
    session: AsyncSession, rollout: Rollout, to: str, reason: str, now: datetime, by: str = CENTRE, **data: Any
) -> None:
    """Bring `rollout` into the state `to` and write it down. Raises RolloutError where it may not by itself."""
    if by == CENTRE:
        state.check(rollout.state, to)
    session.add(
        RolloutEvent(
            rollout=rollout.id, at=now, by=by, kind="state", from_state=rollout.state, to_state=to,
            reason=reason[:2000], data=data,
        )
    )  # fmt: skip
    rollout.state, rollout.reason, rollout.revision = to, reason[:2000], rollout.revision + 1


async def read(session: AsyncSession, rollout: int, limit: int = MOST) -> list[RolloutEvent]:
    """Return the last `limit` events of a rollout, oldest first."""
    query = select(RolloutEvent).where(RolloutEvent.rollout == rollout).order_by(RolloutEvent.id.desc()).limit(limit)
    return list(await session.scalars(query))[::-1]
