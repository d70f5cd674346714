"""Packs of the registry."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api import rollouts, views
from central.api import schemas as s
from central.api.access import Engineer, Viewer
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.releases import held
from central.releases.compare import compare
from central.store.models import Node, Pack
from protocols.messages import SHA256_HEX

router = APIRouter(prefix="/packs", tags=["packs"])
Address = Annotated[str, Path(pattern=SHA256_HEX)]


async def running(session: AsyncSession) -> dict[str, list[str]]:
    """Return the nodes by the address of the pack that they run."""
    found: dict[str, list[str]] = {}
    for name, pack in await session.execute(select(Node.name, Node.pack).order_by(Node.name)):
        if pack is not None:
            found.setdefault(pack, []).append(name)
    return found


@router.get("", responses=documented(401))
async def packs(
    _: Viewer, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50
) -> list[s.PackView]:
    """The last packs, newest first."""
    async with centre.database.read() as session:
        nodes = await running(session)
        rows = await session.scalars(select(Pack).order_by(Pack.registered.desc(), Pack.address).limit(limit))
        return [views.pack(row, nodes) for row in rows]


@router.post("/{address}/override", responses=documented(401, 403, 404, 409, 422))
async def override(body: s.OverrideBody, address: Address, person: Engineer, centre: CentreDep) -> s.PackView:
    """Let a pack be released although a gate of its round speaks against it. Who did, and why, is written down."""
    async with centre.database.read() as session:
        if await session.get(Pack, address) is None:
            raise not_found(f"pack {address[:12]}")
    try:
        await held.override(centre.database, address, person.name, body.reason)
    except held.HeldError as error:
        raise ApiError(409, "not_held", str(error)) from None
    centre.notifier.emit("release")
    async with centre.database.read() as session:
        return views.pack(await session.get_one(Pack, address), await running(session))


@router.get("/{address}/diff", responses=documented(401, 404, 422))
async def pack_diff(
    _: Viewer, centre: CentreDep, address: Address, to: Annotated[str, Query(pattern=SHA256_HEX)]
) -> s.PackDiff:
    """What changed from one pack to another: classes, data, figures, cameras, bytes and tensors."""
    async with centre.database.read() as session:
        before, after = await session.get(Pack, address), await session.get(Pack, to)
    if before is None or after is None:
        raise not_found(f"pack {(to if before is not None else address)[:12]}")
    if centre.fetch_pack is not None:
        await asyncio.gather(centre.fetch_pack(address), centre.fetch_pack(to))
    return rollouts.difference(await compare(centre.database, centre.settings.packs, before, after))
