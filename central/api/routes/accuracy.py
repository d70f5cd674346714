"""Field accuracy, by camera and pack."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from central.annotate import accuracy as estimates
from central.annotate.estimate import Interval
from central.api import schemas as s
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import documented
from protocols.messages import IDENTITY, utc_now

router = APIRouter(prefix="/accuracy", tags=["accuracy"])


def interval(found: Interval | None) -> s.IntervalView | None:
    """Return `found` as it is shown."""
    return None if found is None else s.IntervalView(value=found.value, low=found.low, high=found.high)


@router.get("", responses=documented(401, 422))
async def accuracy(
    _: Viewer,
    centre: CentreDep,
    days: Annotated[int, Query(ge=1, le=3650)] = 30,
    node: Annotated[str | None, Query(pattern=IDENTITY)] = None,
) -> list[s.AccuracyView]:
    """What share of all objects each pack finds at each camera, estimated from the reviewed frames of the last days."""
    async with centre.database.read() as session:
        rows = await estimates.accuracies(session, utc_now() - timedelta(days=days), node)
    return [
        s.AccuracyView(
            node=r.node, camera=r.camera, pack=r.pack, basis=r.basis, stored=r.stored, reviewed=r.reviewed, used=r.used,
            found=interval(r.found), right=interval(r.right),
        )
        for r in rows
    ]  # fmt: skip
