"""What happens to the row of a job: claimed, put back, stopped, tried again. Each function works in an open write
transaction."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.jobs import PERSON
from central.store.models import Job

INTERRUPTED: Final = "the centre stopped while it ran; start it again"
LIVE: Final = ("queued", "running")
OVER: Final = ("done", "failed", "cancelled")
"""States in which a job will go on by itself, and in which it will not."""
BACKOFF_S: Final = 5.0
"""Seconds before a second attempt; each further one waits twice as long."""
MAX_BACKOFF_S: Final = 300.0
SPREAD: Final = 0.2
"""By which a wait differs at random: what failed together is not tried again together."""
KEPT: Final = timedelta(days=7)
"""What the centre did by itself may be looked at for so long; there may be a thousand such jobs a day."""
CLAIM_LOCK: Final = 0x3A71D0B5
"""Of PostgreSQL: servers claim in turn, so that limits hold for all of them."""


def backoff(attempts: int, draw: float | None = None) -> timedelta:
    """Return how long to wait after `attempts` >= 1 that failed; `draw` 0..1 is drawn where absent."""
    share = random.random() if draw is None else draw
    wait = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** (attempts - 1))
    return timedelta(seconds=wait * (1 + SPREAD * (2 * share - 1)))


async def claim(
    session: AsyncSession, server: str, limits: Mapping[Any, int], now: datetime, cluster: str
) -> Job | None:
    """Take the next job of `server` that may begin, and note that it runs; None where there is none."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CLAIM_LOCK})
    query = select(Job.kind, func.count()).where(Job.state == "running").group_by(Job.kind)
    running = {row[0]: row[1] for row in await session.execute(query)}
    full = [kind for kind, limit in limits.items() if running.get(kind, 0) >= limit]
    ready = or_(Job.not_before.is_(None), Job.not_before <= now)
    query_next = (
        select(Job)
        .where(Job.state == "queued", Job.server.in_((server, "")), Job.kind.not_in(full), ready)
        .order_by(Job.priority.desc(), Job.created, Job.id)
        .limit(1)
    )
    row = (await session.scalars(query_next)).first()
    if row is None:
        return None
    row.state, row.server, row.not_before = "running", server, None
    row.attempts, row.started = row.attempts + 1, row.started or now
    row.place = "" if row.kind == "chore" else cluster
    return row


async def put_back(session: AsyncSession, row: Job, server: str, now: datetime) -> None:
    """Do what is right with a `row` that ran when its server stopped: on a cluster it goes on, and is followed again;
    else it begins anew where that does no harm."""
    row.server, row.beat = server, row.beat + 1
    if row.place:
        row.state, row.attempts = "queued", max(0, row.attempts - 1)
    elif max(1, row.attempts) < row.max_attempts:
        row.state = "queued"
    else:
        row.state, row.detail, row.finished = "failed", INTERRUPTED, now


async def stop(session: AsyncSession, job: str, now: datetime) -> bool:
    """Take a job out of the queue, or have its server stop it; False where it is over or unknown."""
    ended = {"state": "cancelled", "detail": "cancelled before it began", "finished": now}
    waiting = update(Job).where(Job.id == job, Job.state == "queued").values(ended).returning(Job.id)
    if (await session.scalar(waiting)) is not None:
        return True
    running = update(Job).where(Job.id == job, Job.state == "running").values(cancel=True).returning(Job.id)
    return (await session.scalar(running)) is not None


async def again(session: AsyncSession, job: str, server: str | None = None) -> bool:
    """Queue a job that failed or was cancelled once more; False where it is neither."""
    query = update(Job).where(Job.id == job, Job.state.in_(("failed", "cancelled")))
    values: dict[str, Any] = {
        "state": "queued", "detail": "", "progress": 0.0, "finished": None, "not_before": None, "cancel": False,
        "max_attempts": Job.attempts + 1, "priority": PERSON,
    }  # fmt: skip
    if server is not None:
        values["server"] = server
    return (await session.scalar(query.values(values).returning(Job.id))) is not None


async def forget(session: AsyncSession, now: datetime) -> None:
    """Delete chores that are over, and older than KEPT. What people asked for stays."""
    old = delete(Job).where(Job.kind == "chore", Job.created < now - KEPT, Job.state.in_(OVER))
    await session.execute(old.execution_options(synchronize_session=False))
