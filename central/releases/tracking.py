"""How far each node is with the release that it was offered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.ingest.presence import known_node
from central.releases.offers import due, newest
from central.store.models import Node, NodeEvent, Release, ReleaseNode
from protocols.messages import Update

COMMITTED = "committed"
TERMINAL = frozenset({COMMITTED, "rolled-back"})
REPORT = ("failed", "shadow", "starts")
"""What of an update's last message is kept: the gates of a rollout go by it."""


async def apply_update(session: AsyncSession, update: Update, now: datetime) -> None:
    """Note a step of an update. The same step twice is one step; only changes of step become events."""
    node = await known_node(session, update.node, now)
    before, data = node.update or {}, msgspec.to_builtins(update)
    if _late(before, update):
        return
    node.update = data
    if update.step == COMMITTED:
        node.pack, node.release = update.pack, update.release
    if (before.get("release"), before.get("step")) != (update.release, update.step):
        detail = f"release {update.release}: {update.step}" + (f" ({update.reason})" if update.reason else "")
        session.add(NodeEvent(node=update.node, at=now, kind="update", detail=detail[:2000], data=data))
    release = await session.get(Release, update.release)
    if release is None:
        return
    row = await _row(session, release, update.node)
    if row is None or (row.step in TERMINAL and update.step not in TERMINAL):
        return  # never offered, or a message that comes once more: no node begins a release again that it ended
    row.step, row.progress, row.reason, row.at = update.step, update.progress, update.reason, now
    if update.step in TERMINAL:
        row.report = {name: data.get(name) for name in REPORT}
        await finish(session, now)


def _late(before: Mapping[str, Any], update: Update) -> bool:
    """Whether the end of the same update is known: two servers may be handed a node's messages out of order. Times say
    nothing of it, as a node's clock may be set meanwhile."""
    same = before.get("release") == update.release
    return same and before.get("step") in TERMINAL and update.step not in TERMINAL


async def apply_running(session: AsyncSession, node: Node, now: datetime) -> None:
    """Note that `node`, which just said which pack it runs, runs the release that is for it, where it does."""
    release = (await due(session, [node.name]))[node.name]
    if release is None or node.state != "online":
        return
    row = await _row(session, release, node.name)
    certain = release.rollout is None or node.release == release.number
    if row is not None and node.pack == release.pack and row.step != COMMITTED and certain:
        row.step, row.progress, row.reason, row.at = COMMITTED, 1.0, "", now
        await finish(session, now)


async def _row(session: AsyncSession, release: Release, node: str) -> ReleaseNode | None:
    """Return the row of `node` and `release`, made where there is none; None where it was never offered it: a node that
    says so offers itself nothing."""
    row = await session.get(ReleaseNode, (release.number, node))
    if row is None and release.rollout is not None:
        return None
    if row is None:
        row = ReleaseNode(release=release.number, node=node)
        session.add(row)
        await session.flush()
    return row


async def finish(session: AsyncSession, now: datetime) -> None:
    """Note when every node that is online runs the newest release."""
    release = await newest(session)
    if release is None or release.finished is not None:
        return
    await session.flush()
    packs = set(await session.scalars(select(Node.pack).where(Node.state == "online")))
    if packs == {release.pack}:
        release.finished = now
