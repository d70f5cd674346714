"""Looking at every camera: frames out of the store, verdicts into it, and what a camera that changed sets off.

frames since the window began -> those of the pack that runs -> reference: its first days at this camera
-> `look.judge` (beside the event loop) -> DriftLook rows; where it begins or ends, an alert; where it begins, a boost
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.learn.drift import boost
from central.learn.drift.look import LEAST_FRAMES, Judged, Verdict, decide, judge, words
from central.learn.drift.sample import Seen, sample
from central.store.database import Database
from central.store.models import Camera, DriftLook, Frame, NodeEvent
from protocols.messages import AUDIT_REASON, MAX_TEXT

WINDOW: Final = timedelta(days=1)
"""What counts as now: a whole day, so that every hour of it is there."""
REFERENCE: Final = timedelta(days=7)
"""First days of a pack at a camera that are its reference, at most: a week has all weekdays."""
MOST_FRAMES: Final = 3000
"""Newest of a sample that are read."""
WEEK_H: Final = 168.0
ALERT: Final = "drift"

Basis = Literal["audit", "all"]


@dataclass(frozen=True)
class Spot:
    """A camera, and the pack that its newest frame was assessed with."""

    node: str
    camera: str
    pack: str | None

    @property
    def frames(self) -> ColumnElement[bool]:
        """The condition that a frame is of it."""
        own = (Frame.node == self.node) & (Frame.camera == self.camera)
        return own & (Frame.pack.is_(None) if self.pack is None else Frame.pack == self.pack)


@dataclass(frozen=True)
class Compared:
    """What is compared at one camera."""

    spot: Spot
    basis: Basis
    begin: datetime | None
    """Of the reference, and its end."""
    end: datetime | None
    before: Sequence[Seen]
    now: Sequence[Seen]


def _audited() -> ColumnElement[bool]:
    found: ColumnElement[bool] = Frame.selection["reason"].as_string() == AUDIT_REASON
    return found


async def _seen(session: AsyncSession, spot: Spot, begin: datetime, end: datetime, basis: Basis) -> list[Seen]:
    """Return frames captured in ``[begin, end)``, newest first, with their probabilities on `basis`."""
    query = select(Frame.captured_at, Frame.selection, Frame.embedding, Frame.assessment, Frame.detections)
    query = query.where(spot.frames, Frame.captured_at >= begin, Frame.captured_at < end)
    if basis == "audit":
        query = query.where(_audited())
    found = []
    for at, chosen, embedding, assessment, detections in await session.execute(
        query.order_by(Frame.captured_at.desc()).limit(MOST_FRAMES)
    ):
        odds = chosen.get("audit") if basis == "audit" else chosen.get("probability")
        if odds:
            found.append(Seen(at, float(odds), embedding, assessment, detections))
    return found


async def _compared(session: AsyncSession, spot: Spot, now: datetime) -> Compared:
    """Return what is compared at `spot`: the frames of its uniform audit where they are enough, else all."""
    began = now - WINDOW
    first = await session.scalar(select(func.min(Frame.captured_at)).where(spot.frames))

    async def on(basis: Basis) -> Compared:
        recent = await _seen(session, spot, began, now, basis)
        if first is None or first >= began:
            return Compared(spot, basis, None, None, [], recent)
        end = min(first + REFERENCE, began)
        return Compared(spot, basis, first, end, await _seen(session, spot, first, end, basis), recent)

    found = await on("audit")
    return found if min(len(found.before), len(found.now)) >= LEAST_FRAMES else await on("all")


async def _spots(session: AsyncSession, now: datetime) -> list[Spot]:
    """Return the cameras that sent something lately."""
    cameras = select(Camera.node, Camera.name, Frame.pack).join(Frame, Frame.id == Camera.last_frame_id)
    recent = cameras.where(Camera.last_frame_at >= now - WINDOW).order_by(Camera.node, Camera.name)
    return [Spot(*row) for row in await session.execute(recent)]


def _judged(compared: Compared, labels: Sequence[str], seed: int) -> Judged:
    if compared.begin is None:
        return Judged(None, reason="learning what is usual here: the pack is new to this camera")
    return judge(sample(compared.before, labels), sample(compared.now, labels), seed)


def _row(compared: Compared, judged: Judged, verdict: Verdict, now: datetime) -> DriftLook:
    spot = compared.spot
    return DriftLook(
        node=spot.node, camera=spot.camera, at=now, pack=spot.pack, verdict=verdict,
        reason=words(judged, verdict)[:MAX_TEXT], basis=compared.basis,
        reference="first" if compared.begin is not None else "", reference_from=compared.begin,
        reference_to=compared.end, frames_before=len(compared.before), frames_now=len(compared.now), p=judged.p,
        measures={name: asdict(found) for name, found in judged.measures.items()},
    )  # fmt: skip


async def _last(session: AsyncSession, node: str, camera: str) -> str | None:
    """Return the verdict of the newest look at a camera that had enough."""
    query = select(DriftLook.verdict).where(
        DriftLook.node == node, DriftLook.camera == camera, DriftLook.verdict != "not_enough"
    )
    found: str | None = await session.scalar(query.order_by(DriftLook.at.desc(), DriftLook.id.desc()).limit(1))
    return found


def _event(row: DriftLook, raised: bool) -> NodeEvent:
    text = f"drift: {row.reason}" if raised else "drift: over"
    data: dict[str, Any] = {"alert": ALERT, "raised": raised}
    return NodeEvent(node=row.node, camera=row.camera, at=row.at, kind="alert", detail=text[:MAX_TEXT], data=data)


async def _keep(session: AsyncSession, rows: Sequence[DriftLook], boost_h: float) -> list[DriftLook]:
    """Store `rows`; return those of cameras that began to drift."""
    begun = []
    for row in rows:
        before = await _last(session, row.node, row.camera)
        session.add(row)
        if row.verdict == "drift" and before != "drift":
            begun.append(row)
            session.add(_event(row, True))
            if boost_h > 0:
                await boost.raise_(session, row.node, row.camera, row.at, boost_h, row.reason)
        elif row.verdict == "steady" and before == "drift":
            session.add(_event(row, False))
    await session.flush()
    return begun


async def look(
    database: Database, labels: Sequence[str], now: datetime, every_h: float, boost_h: float
) -> list[DriftLook]:
    """Look at every camera once and store what is seen; return the looks.

    `every_h`: hours between looks, which the number of false alarms is corrected for. `boost_h`: hours for which a
    camera that begins to drift is asked for more frames; 0: it is not. Raises SQLAlchemyError.
    """
    async with database.read() as session:
        spots = await _spots(session, now)
    compared, judged = [], []
    for number, spot in enumerate(spots):
        async with database.read() as session:
            found = await _compared(session, spot, now)
        compared.append(found)
        judged.append(await asyncio.to_thread(_judged, found, labels, number))
    verdicts = decide(judged, WEEK_H / every_h)
    rows = [_row(c, j, v, now) for c, j, v in zip(compared, judged, verdicts, strict=True)]
    async with database.write() as session:
        await _keep(session, rows, boost_h)
    return rows
