"""What each camera takes."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from central.api import schemas as s
from central.api.access import Viewer
from central.api.context import CentreDep
from central.api.errors import documented
from central.api.stored import Stored
from central.store.usage import Camera

router = APIRouter(tags=["storage"])


def view(camera: Camera) -> s.StorageCamera:
    """Return `camera` as it is shown."""
    states, ages = (
        {name: s.PartView(**asdict(part)) for name, part in parts.items()} for parts in (camera.states, camera.ages)
    )
    return s.StorageCamera(
        site=camera.site, node=camera.node, camera=camera.camera, frames=camera.all.frames, bytes=camera.all.bytes,
        states=states, ages=ages, labels=camera.labels, proposals=camera.proposals, answers=camera.answers,
        rows_bytes=camera.rows_bytes, first=camera.first, last=camera.last,
    )  # fmt: skip


@router.get("/storage", responses=documented(401))
async def storage(_: Viewer, centre: CentreDep) -> s.StorageView:
    """Frames and bytes of each camera, by state and by age; what was counted a minute ago counts as now."""
    at, cameras = await Stored.of(centre.database).get()
    return s.StorageView(
        at=at, frames=sum(c.all.frames for c in cameras), bytes=sum(c.all.bytes for c in cameras),
        rows_bytes=sum(c.rows_bytes for c in cameras), cameras=[view(c) for c in cameras],
    )  # fmt: skip
