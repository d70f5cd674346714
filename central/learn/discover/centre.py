"""What people answered at the centre, as lessons: boxes of frames that were looked through for every class, clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from central.annotate.asking.click import points
from central.learn.discover.fit import Drawn
from central.learn.discover.hints import Gathered, Hints
from central.store.database import Database
from central.store.models import Frame

PAGE: Final = 200
"""Frames that are taken from the database at a time."""


async def drawn(database: Database, places: Mapping[str, int], names: Sequence[str]) -> dict[int, Drawn]:
    """Return the confirmed boxes of the labelled frames `places` (id: place) that are complete for all of `names`."""
    ids, found = sorted(places), {}
    for start in range(0, len(ids), PAGE):
        part = ids[start : start + PAGE]
        query = select(Frame).where(Frame.id.in_(part), Frame.state == "labelled")
        async with database.read() as session:
            frames = list(await session.scalars(query.options(selectinload(Frame.annotations))))
        for frame in frames:
            if not set(names) <= set(frame.complete_for):
                continue
            own = [a for a in frame.annotations if a.confirmed and a.label in names]
            found[places[frame.id]] = Drawn(
                np.array([(a.x1, a.y1, a.x2, a.y2) for a in own], np.float32).reshape(-1, 4),
                np.array([list(names).index(a.label) for a in own], np.int64), np.ones(len(own), np.float32),
            )  # fmt: skip
    return found


async def clicks(database: Database, places: Mapping[str, int], names: Sequence[str]) -> dict[int, Hints]:
    """Return the clicks on objects of `names` on the frames `places` (id: place), waiting or labelled."""
    ids, gathered = sorted(places), Gathered()
    for start in range(0, len(ids), PAGE):
        async with database.read() as session:
            found = await points(session, ids[start : start + PAGE])
        for frame, own in found.items():
            for point in own:
                if point.label in names:
                    gathered.add(places[frame], "clicks", (list(names).index(point.label), point.at))
    return gathered.found
