"""More frames of a camera that changed, within what its node may select: the others give up what that takes.

    boosts that are not over -> shares by camera -> the policy of the node (`protocols.messages.Policy.shares`)

Quotas hold per camera, so that a node of n cameras selects n quotas in all; shares keep that sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.store.models import Camera, CameraBoost
from protocols.messages import MAX_SHARED, MOST_SHARE

FACTOR: Final = 3.0
"""Of a camera's quotas while it is asked for more."""
LEAST: Final = 0.25
"""Of its quotas that every other camera keeps: its own changes must still be seen."""


def shares(cameras: Collection[str], boosts: Mapping[str, float]) -> dict[str, float]:
    """Return the factor of each camera's quotas; empty where nothing is to be shared out. Their mean is 1."""
    wanted = {name: min(factor, MOST_SHARE) for name, factor in boosts.items() if name in cameras and factor > 1}
    others = [name for name in cameras if name not in wanted]
    if not wanted or not others or len(cameras) > MAX_SHARED:
        return {}
    extra = sum(factor - 1 for factor in wanted.values())
    room = (1 - LEAST) * len(others)
    held = min(1.0, room / extra)
    rest = 1 - held * extra / len(others)
    return {name: round(1 + held * (wanted[name] - 1) if name in wanted else rest, 4) for name in sorted(cameras)}


async def shares_of(session: AsyncSession, now: datetime, nodes: Collection[str] | None) -> dict[str, dict[str, float]]:
    """Return the shares of each of `nodes` (None: all) that has a boosted camera."""
    query = select(CameraBoost).where(CameraBoost.until > now)
    if nodes is not None:
        query = query.where(CameraBoost.node.in_(nodes))
    boosts: dict[str, dict[str, float]] = defaultdict(dict)
    for row in await session.scalars(query):
        boosts[row.node][row.camera] = row.factor
    cameras: dict[str, list[str]] = defaultdict(list)
    if boosts:
        for node, name in await session.execute(select(Camera.node, Camera.name).where(Camera.node.in_(boosts))):
            cameras[node].append(name)
    return {node: found for node, own in boosts.items() if (found := shares(cameras[node], own))}


async def raise_(session: AsyncSession, node: str, camera: str, now: datetime, hours: float, reason: str) -> None:
    """Ask for more frames of a camera for `hours`, from now on."""
    row = await session.get(CameraBoost, (node, camera)) or CameraBoost(node=node, camera=camera)
    row.factor, row.since, row.until, row.reason = FACTOR, now, now + timedelta(hours=hours), reason
    session.add(row)


async def expire(session: AsyncSession, now: datetime) -> bool:
    """Forget what is over; return whether there was any."""
    gone = await session.execute(delete(CameraBoost).where(CameraBoost.until <= now).returning(CameraBoost.node))
    return gone.first() is not None


async def began(session: AsyncSession, now: datetime) -> bool:
    """Return whether a boost began at `now`."""
    found = await session.scalar(select(CameraBoost.node).where(CameraBoost.since == now).limit(1))
    return found is not None
