"""What can never be stored, put aside with the reason, so that it blocks nothing and somebody can find out why.

    refused (node, reason, payload) -> one row per node and payload; the same again only counts up

Bounded by node and in all, so that whoever sends garbage fills neither the disk nor the table: the newest of a node
stay. The frame itself is still at its node, as it got no receipt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.link import Received
from central.store.models import Parked

HEAD: Final = 2048
"""Bytes of a payload that are kept: all of a JSON message, and what a frame says before its image."""
MAX_BY_NODE: Final = 50
MAX_REASON: Final = 500
"""Characters."""
MAX_ROWS: Final = 20_000
"""In all; about 60 MB at most."""


@dataclass(frozen=True)
class Refused:
    """A message that came and the reason why it cannot be stored."""

    received: Received
    reason: str


async def park(session: AsyncSession, refused: Sequence[Refused], now: datetime) -> int:
    """Put `refused` aside; returns how many were new. Beyond MAX_ROWS only what is there already counts up."""
    room = MAX_ROWS - (await session.scalar(select(func.count()).select_from(Parked)) or 0)
    new = 0
    for each in refused:
        made = await _park(session, each, now, room - new > 0)
        new += made
    for node in {each.received.node for each in refused}:
        await _trim(session, node)
    return new


async def _park(session: AsyncSession, each: Refused, now: datetime, room: bool) -> bool:
    received = each.received
    digest = hashlib.sha256(received.payload).hexdigest()
    query = select(Parked).where(
        Parked.node == received.node, Parked.channel == received.channel, Parked.sha256 == digest
    )
    row = (await session.scalars(query)).first()
    if row is not None:
        row.times, row.last, row.reason = row.times + 1, now, each.reason[:MAX_REASON]
        return False
    if not room:
        return False
    session.add(
        Parked(
            node=received.node, channel=received.channel, sha256=digest, size_bytes=len(received.payload),
            head=received.payload[:HEAD], reason=each.reason[:MAX_REASON], first=now, last=now,
        )
    )
    await session.flush()
    return True


async def _trim(session: AsyncSession, node: str) -> None:
    newest = select(Parked.id).where(Parked.node == node).order_by(Parked.last.desc(), Parked.id.desc())
    kept = list(await session.scalars(newest.limit(MAX_BY_NODE)))
    await session.execute(delete(Parked).where(Parked.node == node, Parked.id.not_in(kept)))
