"""What a wave changed: how each node fared before, and with the new pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.releases.rollout.fared import fared
from central.store.models import Node, ReleaseNode, Rollout, RolloutNode

FIGURES: Final = ("latency_p50_ms", "latency_p95_ms", "fps", "selected_share", "uncertainty", "blur", "temperature_c")


@dataclass(frozen=True)
class NodeEffect:
    """One node. `before` and `after`: figures of `fared` by name; `shadow`: what its shadow run said, as sent."""

    node: str
    wave: int
    stage: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    shadow: Mapping[str, Any] | None


@dataclass(frozen=True)
class Change:
    """One figure over the nodes that have it before and after: medians."""

    figure: str
    before: float
    after: float
    nodes: int


async def of_nodes(session: AsyncSession, rollout: Rollout, wave: int | None = None) -> list[NodeEffect]:
    """Return the effect on the nodes of `wave`, counted from 0, or of all waves; its nodes are loaded."""
    rows = [row for row in rollout.nodes if row.offered is not None and wave in (None, row.wave)]
    names = [row.node for row in rows]
    found = await session.scalars(select(Node).where(Node.name.in_(names)).options(selectinload(Node.cameras)))
    nodes = {node.name: node for node in found}
    told = select(ReleaseNode).where(ReleaseNode.release == rollout.release, ReleaseNode.node.in_(names))
    reports = {update.node: update.report or {} for update in await session.scalars(told)}
    return [
        NodeEffect(
            row.node, row.wave, row.stage, row.before, _after(row, nodes[row.node]),
            reports.get(row.node, {}).get("shadow"),
        )
        for row in rows
    ]  # fmt: skip


def _after(row: RolloutNode, node: Node) -> Mapping[str, Any]:
    return row.after or (fared(node) if row.stage == "healthy" else {})


def changes(effects: Iterable[NodeEffect]) -> list[Change]:
    """Return the median of each figure before and after, over the nodes that have both."""
    known = list(effects)
    found: list[Change] = []
    for figure in FIGURES:
        pairs = [
            (float(e.before[figure]), float(e.after[figure]))
            for e in known
            if e.before.get(figure) is not None and e.after.get(figure) is not None
        ]
        if pairs:
            before, after = (median(side) for side in zip(*pairs, strict=True))
            found.append(Change(figure, before, after, len(pairs)))
    return found
