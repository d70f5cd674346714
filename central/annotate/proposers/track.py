"""The labels of the last labelled frame of the same camera, followed to the frames after it (`central.annotate.track`).

A frame is looked at again whenever another labelled frame came between, or the labels of that one were changed.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import queue, second
from central.annotate.profile import ProfileProposer
from central.annotate.propagate import MAX_GAP, SOURCE, follow, store
from central.annotate.proposers import MAX_FRAMES, Desk
from central.annotate.track import TrackError
from central.store.models import Frame, FrameLook

SURE: Final = 0.85
"""Confidence from which what was followed is proposed unasked: of what is below, hardly half is right."""
GLANCE: Final = 200
"""Most valuable frames by which it is told whether there is anything to do."""


async def wanted(session: AsyncSession, limit: int = MAX_FRAMES) -> list[tuple[str, str, str]]:
    """Return waiting frames, the labelled frame to follow to each, and the version of that; those not looked at yet.

    Only the `limit` most valuable waiting frames are thought of.
    """
    query = select(Frame.id, Frame.node, Frame.camera, Frame.captured_at, FrameLook.version)
    query = query.outerjoin(FrameLook, (FrameLook.frame == Frame.id) & (FrameLook.source == SOURCE))
    query = query.where(Frame.state == "pending").order_by(Frame.value.desc(), Frame.id.desc()).limit(limit)
    cameras = defaultdict(list)
    for frame, node, camera, at, version in await session.execute(query):
        cameras[(node, camera)].append((frame, at, version))
    found = []
    for (node, camera), frames in cameras.items():
        times = [at for _, at, _ in frames]
        known = select(Frame.id, Frame.revision, Frame.captured_at).where(
            Frame.node == node, Frame.camera == camera, Frame.state == "labelled",
            Frame.captured_at >= min(times) - MAX_GAP, Frame.captured_at <= max(times),
            (Frame.opinion.is_(None)) | (Frame.opinion != second.WANTED),
        ).order_by(Frame.id)  # fmt: skip
        labelled = (await session.execute(known)).all()
        ids = [row[0] for row in labelled]
        for frame, at, version in frames:
            place = bisect_left(ids, frame) - 1
            if place < 0 or at - labelled[place][2] > MAX_GAP:
                continue
            now = f"{ids[place]}@{labelled[place][1]}"
            if now != version:
                found.append((frame, ids[place], now))
    return found


class Track:
    """Follows labels."""

    name = SOURCE
    about = "the labels of the frame before of the same camera, followed"

    async def waiting(self, session: AsyncSession, given: ProfileProposer, pack: str | None, every: bool) -> int:
        """Return how many of the first frames that wait are new to it."""
        return len(await wanted(session, GLANCE))

    async def propose(self, desk: Desk, given: ProfileProposer) -> Mapping[str, int]:
        """Follow labels to frames that are new to it."""
        async with desk.database.read() as session:
            todo = await wanted(session, desk.limit)
        frames = changed = 0
        for frame, earlier, version in todo:
            if time.monotonic() > desk.until:
                break
            async with desk.database.read() as session:
                later, before = await queue.load(session, frame), await queue.load(session, earlier)
            try:
                found = await follow(desk.blobs, before, later)
            except TrackError:
                found = []  # another scene: there is nothing to follow
            async with desk.database.write() as session:
                await session.merge(FrameLook(frame=frame, source=SOURCE, version=version))
                changed += bool(await store(session, frame, [one for one in found if one.confidence >= SURE]))
            frames += 1
            desk.report({"progress": frames / len(todo), "detail": f"followed to {frames} of {len(todo)} frames"})
        return {"frames": frames, "changed": changed}


PROPOSER = Track()
