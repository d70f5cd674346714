"""The way back: to each node that got the release the pack that it had, as new signed releases, one per pack.

A node that never began keeps what it has, and so does one that went back by itself and says so. A node whose pack
before is not known here goes back to the one that counted when the rollout was planned. A node that runs a newer
release than this rollout's is left alone.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from central.releases import offers
from central.releases.rollout import CENTRE, HAD_FAILED, OUT, history
from central.store.models import Node, Pack, Release, ReleaseNode, Rollout, RolloutNode


async def _target(session: AsyncSession, rollout: Rollout, row: RolloutNode) -> Pack | None:
    for address in (row.from_pack, rollout.from_pack):
        if address is not None and address != rollout.pack:
            pack = await session.get(Pack, address)
            if pack is not None:
                return pack
    return None


def _elsewhere(node: Node, rollout: Rollout) -> bool:
    return node.release is not None and rollout.release is not None and node.release > rollout.release


async def _by_itself(session: AsyncSession, node: Node, rollout: Rollout, row: RolloutNode) -> bool:
    """Whether `node` said that it went back, and runs what it ran before."""
    update = await session.get(ReleaseNode, (rollout.release, row.node)) if rollout.release is not None else None
    return update is not None and update.step == "rolled-back" and node.pack == row.from_pack != rollout.pack


async def begin(session: AsyncSession, rollout: Rollout, now: datetime, by: str = CENTRE) -> list[str]:
    """Make the releases that take the nodes of `rollout` back, and return the nodes that they are offered to."""
    made: dict[str, Release] = {}
    for row in rollout.nodes:
        if row.stage not in (*OUT, "withdrawn"):
            continue
        node = await session.get_one(Node, row.node)
        if _elsewhere(node, rollout):
            row.stage, row.reason = "returned", f"runs release {node.release}, which came later"
            continue
        failed = f"{HAD_FAILED}{row.reason}"[:2000] if row.stage == "failed" else ""
        if await _by_itself(session, node, rollout, row):
            row.stage, row.reason = "returned", failed
            continue
        pack = await _target(session, rollout, row)
        if pack is None:
            row.stage, row.reason = "stuck", "the pack that it had is not in the registry; release another one"
            continue
        if pack.address not in made:
            notes = f"back from rollout {rollout.id}"
            made[pack.address] = await offers.add(session, pack, by, notes, rollout.id)
        number = made[pack.address].number
        session.add(ReleaseNode(release=number, node=row.node))
        row.stage, row.reason, row.back = "returning", failed, number
        row.offered_s, row.silent_s = rollout.clock_s, None
    going = [row.node for row in rollout.nodes if row.stage == "returning"]
    numbers = {r.number: r.pack for r in made.values()}
    what = f"{len(going)} nodes go back" + (f" by release {', '.join(map(str, sorted(numbers)))}" if numbers else "")
    history.note(session, rollout, "back", what, now, by, nodes=going, releases=sorted(numbers))
    return going


def over(rollout: Rollout, clock_s: float, deadline_s: float) -> bool:
    """Whether every node that is there is back, or will not come: the others go back whenever they are there again."""
    return all(
        row.stage != "returning" or (row.offered_s is not None and clock_s - row.offered_s > deadline_s)
        for row in rollout.nodes
    )
