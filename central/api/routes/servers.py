"""Which servers there are, and who does what for all."""

from __future__ import annotations

from fastapi import APIRouter

from central.api import schemas as s
from central.api.access import Viewer
from central.api.context import Centre, CentreDep
from central.api.errors import documented
from central.servers.members import Members
from central.servers.roll import roll

router = APIRouter(tags=["servers"])


def _members(centre: Centre) -> Members | None:
    return None if centre.duties is None else centre.duties.members


@router.get("/servers", responses=documented(401))
async def servers(_: Viewer, centre: CentreDep) -> s.ServersView:
    """The servers of this centre, since when they run, and which one has which duty. Empty where there is only one, as
    its database is a file of its own."""
    members = _members(centre)
    if members is None or centre.duties is None:
        return s.ServersView(several=False, items=[], free=[])
    async with centre.database.read() as session:
        rows, free = await roll(session)
    seen = centre.duties.seen
    items = [
        s.ServerView(
            id=row.id, name=row.name, version=row.version, started=row.started, seen=row.seen,
            state=seen[row.id].state(members.take_s) if row.id in seen else "serving", asked=row.id == members.me.id,
            duties=[s.DutyView(name=d.name, since=d.since, fence=d.fence) for d in held],
        )
        for row, held in rows
    ]  # fmt: skip
    return s.ServersView(several=True, items=items, free=free)
