"""The list of servers and their duties, for people."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store.models import Duty, Server


async def roll(session: AsyncSession) -> tuple[list[tuple[Server, list[Duty]]], list[str]]:
    """Return every server that has a row, oldest first, with what it does for all; and the duties that nobody has."""
    rows = list(await session.scalars(select(Server).order_by(Server.started, Server.id)))
    duties = list(await session.scalars(select(Duty).order_by(Duty.name)))
    known = {row.id for row in rows}
    return (
        [(row, [d for d in duties if d.holder == row.id]) for row in rows],
        [d.name for d in duties if d.holder not in known],
    )
