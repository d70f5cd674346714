"""Tags of a frame from those of labelled frames of the same site that look like it.

Labels are partial: a neighbour whose tag is unknown says nothing of it. A score is the share of the neighbours that
have the tag, weighted by how alike they are, drawn to the share in the whole site where few of them know it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.asking.order import GIVE_WAY_S
from central.annotate.profile import ProfileProposer
from central.annotate.proposers import MAX_FRAMES, Desk
from central.annotate.sources import curves
from central.annotate.tag_proposals import put
from central.store.models import Frame, FrameLook
from protocols.messages import utc_now

SOURCE: Final = "neighbours"
FEW: Final = 5
"""Frames of a site that know a tag, below which nothing is said of it."""
NEAREST: Final = 10
SHARP: Final = 10.0
"""How fast the weight of a neighbour falls with its cosine."""
PRIOR: Final = 1.0
"""Weight of the site's share, in neighbours."""
LABELLED: Final = 2000
"""Newest labelled frames of a site that are compared with."""
BATCH: Final = 16
"""Frames stored in one transaction: people write, too."""


@dataclass(frozen=True)
class Site:
    """The labelled frames of a site: embeddings ``[N, D]``, and per tag 1 (present), 0 (absent) or nan ``[N, T]``."""

    points: NDArray[np.float32]
    known: NDArray[np.float32]


def transfer(site: Site, point: NDArray[np.float32], tags: Sequence[str]) -> dict[str, float]:
    """Return the score 0..1 of each of `tags` (the columns of the site) for a frame at `point` ``[D]``."""
    likeness = site.points @ point
    found = {}
    for column, tag in enumerate(tags):
        rows = np.flatnonzero(~np.isnan(site.known[:, column]))
        if len(rows) < FEW:
            continue
        near = rows[np.argsort(-likeness[rows], kind="stable")[:NEAREST]]
        weight = np.exp(SHARP * (likeness[near] - 1.0))
        share = float(site.known[rows, column].mean())
        score = (float((weight * site.known[near, column]).sum()) + PRIOR * share) / (float(weight.sum()) + PRIOR)
        found[tag] = round(score, 4)
    return found


def _version(count: int) -> str:
    """Return what changes each time that a site has twice as many labelled frames."""
    return str(count.bit_length())


async def _counts(session: AsyncSession) -> dict[str, int]:
    """Return how many frames of each site may be compared with."""
    query = select(Frame.site, func.count()).where(Frame.state == "labelled", Frame.embedding.is_not(None))
    return {site: int(count) for site, count in await session.execute(query.group_by(Frame.site))}


async def _site(session: AsyncSession, site: str, tags: Sequence[str]) -> dict[int, Site]:
    """Return the labelled frames of `site` by the dimension of their embeddings."""
    query = select(Frame.embedding, Frame.tags).where(
        Frame.site == site, Frame.state == "labelled", Frame.labelled_at.is_not(None), Frame.embedding.is_not(None)
    )
    groups = defaultdict(list)
    for embedding, said in await session.execute(query.order_by(Frame.labelled_at.desc()).limit(LABELLED)):
        point = np.frombuffer(embedding, "<f4")
        states = [{"present": 1.0, "absent": 0.0}.get(said.get(tag, ""), np.nan) for tag in tags]
        groups[len(point)].append((point, states))
    return {
        size: Site(np.stack([p for p, _ in rows]), np.array([s for _, s in rows], np.float32))
        for size, rows in groups.items()
    }


async def _new(session: AsyncSession, limit: int) -> dict[tuple[str, str], list[tuple[str, bytes]]]:
    """Return which of the `limit` most valuable waiting frames are to be looked at, with their embeddings, by site and
    the version of that."""
    counts = {site: count for site, count in (await _counts(session)).items() if count >= FEW}
    query = select(Frame.id, Frame.site, Frame.embedding, FrameLook.version)
    query = query.outerjoin(FrameLook, (FrameLook.frame == Frame.id) & (FrameLook.source == SOURCE))
    query = query.where(Frame.state == "pending").order_by(Frame.value.desc(), Frame.id.desc()).limit(limit)
    found = defaultdict(list)
    for frame, site, embedding, version in await session.execute(query):
        if site in counts and embedding and version != _version(counts[site]):
            found[(site, _version(counts[site]))].append((frame, embedding))
    return found


def _said(
    known: Mapping[int, Site], frames: Sequence[tuple[str, bytes]], tags: Sequence[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield `frames` with the scores of `tags` on each."""
    for frame, embedding in frames:
        point = np.frombuffer(embedding, "<f4")
        like = known.get(len(point))
        yield frame, {} if like is None else transfer(like, point, tags)


class Tags:
    """Transfers tags to frames that look alike."""

    name = "tags"
    about = "tags of labelled frames of the same site that look alike"

    async def waiting(self, session: AsyncSession, given: ProfileProposer, pack: str | None, every: bool) -> int:
        """Return how many of the first frames that wait were not compared with what their sites have now."""
        return sum(len(frames) for frames in (await _new(session, MAX_FRAMES)).values())

    async def propose(self, desk: Desk, given: ProfileProposer) -> Mapping[str, int]:
        """Propose tags on frames that are new to it."""
        if not desk.tags:
            return {"frames": 0, "changed": 0}
        async with desk.database.read() as session:
            new, worth = await _new(session, desk.limit), await curves(session, SOURCE)
        frames = changed = 0
        for (site, version), todo in new.items():
            async with desk.database.read() as session:
                known = await _site(session, site, desk.tags)
            for start in range(0, len(todo), BATCH):
                if time.monotonic() > desk.until:
                    break
                said = dict(_said(known, todo[start : start + BATCH], desk.tags))
                looks = [{"frame": f, "source": SOURCE, "version": version, "at": utc_now()} for f in said]
                again = delete(FrameLook).where(FrameLook.frame.in_(said), FrameLook.source == SOURCE)
                async with desk.database.write() as session:
                    await session.execute(again.execution_options(synchronize_session=False))
                    await session.execute(insert(FrameLook), looks)
                    await put(session, SOURCE, {frame: own for frame, own in said.items() if own}, worth)
                frames, changed = frames + len(said), changed + sum(bool(own) for own in said.values())
                await asyncio.sleep(GIVE_WAY_S)
        return {"frames": frames, "changed": changed}


PROPOSER = Tags()
