"""What is counted over everything: totals, and where each step of the loop stands. Pure decisions, few queries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.api import schemas as s
from central.api import views
from central.store.models import Annotation, Camera, Frame, Node, Release, Round

LATELY: Final = timedelta(minutes=5)
"""Something that happened within this time counts as going on."""
ENDED: Final = ("committed", "rolled-back")


async def totals(session: AsyncSession) -> s.Totals:
    """Count what is stored."""
    states = {
        state: (int(count), int(size or 0))
        for state, count, size in await session.execute(
            select(Frame.state, func.count(), func.sum(Frame.size_bytes)).group_by(Frame.state)
        )
    }
    labels = await session.scalar(select(func.count()).select_from(Annotation).where(Annotation.confirmed))
    rounds = await session.scalar(select(func.count()).select_from(Round))
    return s.Totals(
        frames=sum(count for count, _ in states.values()),
        bytes=sum(size for _, size in states.values()),
        pending=states.get("pending", (0, 0))[0],
        labelled=states.get("labelled", (0, 0))[0],
        labels=int(labels or 0),
        rounds=int(rounds or 0),
    )


async def camera_rows(session: AsyncSession) -> list[tuple[Node, Camera | None]]:
    """Return every node with each of its cameras; a node without any comes once, with None."""
    query = select(Node, Camera).outerjoin(Camera, Camera.node == Node.name).order_by(Node.name, Camera.name)
    return [(node, camera) for node, camera in await session.execute(query)]


def _watch(nodes: Sequence[s.NodeView]) -> s.LoopStep:
    online = [n for n in nodes if n.state == "online"]
    cameras = [c for n in online for c in n.cameras]
    watching = [c for c in cameras if c.state == "watching"]
    failed = [c for c in cameras if c.state == "failed"]
    state: str = "active" if watching else "failed" if failed else "idle"
    detail = f"{len(watching)} of {len(cameras)} cameras watched by {len(online)} nodes" if nodes else "no node yet"
    at = max((n.since for n in online if n.since), default=None)
    return s.LoopStep.model_validate({"step": "watch", "state": state, "detail": detail, "at": at})


def _send(nodes: Sequence[s.NodeView], counts: s.Totals, now: datetime) -> s.LoopStep:
    last = max((c.last_frame_at for n in nodes for c in n.cameras if c.last_frame_at), default=None)
    active = last is not None and now - last < LATELY
    state = "active" if active else "done" if counts.frames else "idle"
    detail = f"{counts.frames} frames, {counts.bytes / 1e6:.1f} MB"
    return s.LoopStep.model_validate({"step": "send", "state": state, "detail": detail, "at": last})


def _review(counts: s.Totals, last: datetime | None, now: datetime) -> s.LoopStep:
    if counts.pending:
        active = last is not None and now - last < LATELY
        return s.LoopStep.model_validate(
            {
                "step": "review",
                "state": "active" if active else "idle",
                "detail": f"{counts.pending} frames wait, {counts.labelled} labelled",
                "at": last,
            }
        )
    state = "done" if counts.labelled else "idle"
    return s.LoopStep.model_validate(
        {"step": "review", "state": state, "detail": f"{counts.labelled} frames labelled", "at": last}
    )


def _train(latest: s.RoundView | None) -> s.LoopStep:
    if latest is None:
        return s.LoopStep(step="train", state="idle", detail="no round yet")
    over = latest.state in ("done", "failed")
    state = latest.state if over else "active"
    detail = (
        f"round {latest.id}: {latest.state}" if over else f"round {latest.id}: {latest.state} {latest.progress:.0%}"
    )
    at = latest.finished or latest.started
    return s.LoopStep.model_validate({"step": "train", "state": state, "detail": detail, "at": at})


def _release(latest: s.ReleaseView | None) -> s.LoopStep:
    if latest is None:
        return s.LoopStep(step="release", state="idle", detail="no release yet")
    return s.LoopStep(step="release", state="done", detail=f"release {latest.number}: {latest.name}", at=latest.at)


def _update(latest: s.ReleaseView | None) -> s.LoopStep:
    if latest is None or not latest.nodes:
        return s.LoopStep(step="update", state="idle")
    ran = sum(n.step == "committed" for n in latest.nodes)
    back = [n for n in latest.nodes if n.step == "rolled-back"]
    state = "failed" if back else "done" if ran == len(latest.nodes) else "active"
    detail = f"{ran} of {len(latest.nodes)} nodes run release {latest.number}"
    if back:
        detail += f"; {back[0].node} went back: {back[0].reason}"
    at = max((n.at for n in latest.nodes if n.at), default=None)
    return s.LoopStep.model_validate({"step": "update", "state": state, "detail": detail, "at": at})


async def overview(session: AsyncSession, counts: s.Totals) -> s.Overview:
    """Return the overview as the database has it now, with the `counts` of `totals`."""
    now = datetime.now(UTC)
    node_rows = await session.scalars(select(Node).order_by(Node.site, Node.name).options(selectinload(Node.cameras)))
    nodes = [views.node(row) for row in node_rows]
    newest = select(Release).order_by(Release.number.desc()).limit(1).options(selectinload(Release.nodes))
    release_row = await session.scalar(newest)
    round_row = await session.scalar(select(Round).order_by(Round.created.desc(), Round.id.desc()).limit(1))
    release = views.release(release_row) if release_row else None
    latest = views.round_(round_row) if round_row else None
    answered = await session.scalar(select(func.max(Frame.labelled_at)).where(Frame.labelled_at.is_not(None)))
    loop = [
        _watch(nodes),
        _send(nodes, counts, now),
        _review(counts, answered, now),
        _train(latest),
        _release(release),
        _update(release),
    ]
    return s.Overview(nodes=nodes, totals=counts, release=release, round=latest, loop=loop)
