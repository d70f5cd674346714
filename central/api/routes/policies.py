"""What the nodes select: one policy for all, and one of its own for each node that has one."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path
from sqlalchemy import select

from central.api import schemas as s
from central.api.access import Engineer, Viewer
from central.api.context import CentreDep
from central.api.errors import documented, not_found
from central.releases.offers import DEFAULT_POLICY
from central.store.models import Node, Policy
from protocols.messages import IDENTITY, utc_now

router = APIRouter(prefix="/policies", tags=["policies"])
EVERY: Final = "all-nodes"
"""In addresses, for the policy of every node that has none of its own."""
NodeName = Annotated[str, Path(pattern=IDENTITY)]


def view(row: Policy) -> s.PolicyView:
    """Return `row` as it is shown."""
    fields = {name: getattr(row, name) for name in s.PolicyView.model_fields if name != "node"}
    return s.PolicyView(node=EVERY if row.node == DEFAULT_POLICY else row.node, **fields)


@router.get("", responses=documented(401))
async def policies(_: Viewer, centre: CentreDep) -> list[s.PolicyView]:
    """The policies that were set here; without any, each node follows its own configuration."""
    async with centre.database.read() as session:
        return [view(row) for row in await session.scalars(select(Policy).order_by(Policy.node))]


@router.put("/{node}", responses=documented(401, 403, 404, 422))
async def set_policy(node: NodeName, body: s.PolicyBody, person: Engineer, centre: CentreDep) -> s.PolicyView:
    """Set the policy of a node, or of `all-nodes`; it is told at once, and goes over to it without a restart."""
    key = DEFAULT_POLICY if node == EVERY else node
    async with centre.database.write() as session:
        if key != DEFAULT_POLICY and await session.get(Node, key) is None:
            raise not_found(f"node {node}")
        versions = list(await session.scalars(select(Policy.version)))
        row = await session.get(Policy, key) or Policy(node=key)
        row.version = max(versions, default=0) + 1  # over all rows: a node may go over from one to another
        row.updated, row.by = utc_now(), person.name
        for name, value in body.model_dump().items():
            setattr(row, name, value)
        session.add(row)
        await session.flush()
        shown = view(row)
    await centre.fleet.tell()
    return shown
