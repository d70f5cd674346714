"""Rows of rollouts as what the API shows; the commands print the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.estimate import Interval
from central.api import schemas as s
from central.releases.compare import Comparison
from central.releases.gates import gates
from central.releases.rollout import HAD_FAILED, actions, history, plan, state
from central.releases.rollout.effect import NodeEffect, changes
from central.store.models import (
    Node,
    Pack,
    ReleaseNode,
    Rollout,
    RolloutEvent,
    RolloutNode,
    RolloutWave,
)


def _summary(row: Rollout, name: str, stages: Mapping[str, int], waves: int) -> dict[str, Any]:
    return {
        "id": row.id, "pack": row.pack, "name": name, "from_pack": row.from_pack, "release": row.release,
        "state": row.state, "revision": row.revision, "reason": row.reason, "notes": row.notes, "by": row.by,
        "created": row.created, "started": row.started, "finished": row.finished, "wave": row.wave, "waves": waves,
        "nodes": sum(stages.values()), "stages": dict(stages), "actions": state.possible(row.state),
    }  # fmt: skip


async def listing(session: AsyncSession, limit: int) -> list[s.RolloutSummary]:
    """Return the last rollouts, newest first."""
    rows = list(await session.scalars(select(Rollout).order_by(Rollout.id.desc()).limit(limit)))
    ids = [row.id for row in rows]
    counts: dict[int, dict[str, int]] = {}
    grouped = (
        select(RolloutNode.rollout, RolloutNode.stage, func.count())
        .where(RolloutNode.rollout.in_(ids))
        .group_by(RolloutNode.rollout, RolloutNode.stage)
    )
    for number, stage, count in await session.execute(grouped):
        counts.setdefault(number, {})[stage] = count
    many = select(RolloutWave.rollout, func.count()).where(RolloutWave.rollout.in_(ids)).group_by(RolloutWave.rollout)
    waves = {each[0]: each[1] for each in await session.execute(many)}
    names = await _names(session, {row.pack for row in rows})
    return [
        s.RolloutSummary.model_validate(
            _summary(row, names.get(row.pack, ""), counts.get(row.id, {}), waves.get(row.id, 0))
        )
        for row in rows
    ]


async def _names(session: AsyncSession, addresses: Iterable[str]) -> dict[str, str]:
    query = select(Pack.address, Pack.name).where(Pack.address.in_(list(addresses)))
    return {each[0]: each[1] for each in await session.execute(query)}


def verdict(name: str, raw: Mapping[str, Any], settings: plan.GateSettings) -> s.VerdictView:
    """Return what the gate called `name` said, as the tables keep it."""
    gate = gates().get(name)
    required = settings.required if settings.required is not None else bool(gate and gate.required)
    return s.VerdictView(
        gate=name, does=gate.does if gate else "", unit=gate.unit if gate else "", required=required,
        outcome=raw["outcome"], value=raw.get("value"), limit=raw.get("limit"), reason=str(raw.get("reason", "")),
    )  # fmt: skip


def wave(
    row: RolloutWave, nodes: Iterable[RolloutNode], settings: Mapping[str, plan.GateSettings]
) -> s.RolloutWaveView:
    """Return one step of a rollout with its `nodes`. Who went back later still counts as what it was."""
    rows = list(nodes)
    failed = sum(node.stage == "failed" or node.reason.startswith(HAD_FAILED) for node in rows)
    healthy = sum(node.stage == "healthy" or bool(node.after) for node in rows)
    return s.RolloutWaveView(
        number=row.number, group=row.group, state=cast(s.WaveState, row.state), opened=row.opened, closed=row.closed,
        nodes=len(rows), healthy=healthy, failed=failed, away=sum(node.stage == "away" for node in rows),
        gates=[verdict(name, raw, settings.get(name) or plan.GateSettings()) for name, raw in row.gates.items()],
    )  # fmt: skip


def event(row: RolloutEvent) -> s.RolloutEventView:
    """Return one event."""
    return s.RolloutEventView(
        at=row.at, by=row.by, kind=row.kind, from_state=row.from_state, to_state=row.to_state, reason=row.reason,
        data=row.data,
    )  # fmt: skip


async def _nodes(session: AsyncSession, row: Rollout) -> list[s.RolloutNodeView]:
    names = [node.node for node in row.nodes]
    sites = {
        each[0]: each[1] for each in await session.execute(select(Node.name, Node.site).where(Node.name.in_(names)))
    }
    numbers = {row.release, *(node.back for node in row.nodes)} - {None}
    told = await session.scalars(select(ReleaseNode).where(ReleaseNode.release.in_(numbers)))
    updates = {(u.release, u.node): u for u in told}
    views = []
    for node in row.nodes:
        update = updates.get((node.back or row.release or 0, node.node))
        views.append(
            s.RolloutNodeView(
                node=node.node, site=sites.get(node.node, ""), wave=node.wave, group=node.group,
                stage=cast(s.NodeStage, node.stage), reason=node.reason, late=node.late, offered=node.offered,
                from_pack=node.from_pack, step=update.step if update else None,
                progress=update.progress if update else 0.0,
            )
        )  # fmt: skip
    return views


async def whole(session: AsyncSession, number: int) -> s.RolloutView:
    """Return a rollout with everything that is known about it. Raises RolloutError where there is none."""
    row = await actions.load(session, number)
    name = (await _names(session, [row.pack])).get(row.pack, "")
    settings = msgspec.convert(row.plan, plan.Plan).gates
    by_wave: dict[int, list[RolloutNode]] = {}
    for node in row.nodes:
        by_wave.setdefault(node.wave, []).append(node)
    stages = Counter(node.stage for node in row.nodes)
    return s.RolloutView.model_validate(
        {
            **_summary(row, name, stages, len(row.waves)),
            "plan": row.plan,
            "clock_s": row.clock_s,
            "all_waves": [wave(each, by_wave.get(each.number, []), settings) for each in row.waves],
            "all_nodes": await _nodes(session, row),
            "history": [event(each) for each in await history.read(session, number)],
        }
    )


def planned(waves: Iterable[plan.Wave]) -> list[s.PlanWaveView]:
    """Return the waves of a plan."""
    views: list[s.PlanWaveView] = []
    total = 0
    for each in waves:
        total += len(each.nodes)
        views.append(s.PlanWaveView(group=each.group, nodes=list(each.nodes), total=total))
    return views


def effect(found: list[NodeEffect]) -> s.EffectView:
    """Return what a wave changed."""
    return s.EffectView(
        changes=[
            s.ChangeView(figure=c.figure, before=c.before, after=c.after, nodes=c.nodes) for c in changes(found)
        ],
        nodes=[
            s.NodeEffectView(
                node=e.node, wave=e.wave, stage=cast(s.NodeStage, e.stage), before=dict(e.before), after=dict(e.after),
                shadow=dict(e.shadow) if e.shadow else None,
            )
            for e in found
        ],
    )  # fmt: skip


def _interval(found: Interval | None) -> s.IntervalView | None:
    return None if found is None else s.IntervalView(value=found.value, low=found.low, high=found.high)


def difference(found: Comparison) -> s.PackDiff:
    """Return what changed between two packs."""
    data, tensors = found.data, found.tensors
    return s.PackDiff(
        before=found.before, after=found.after, classes=s.ClassesDiff(**found.classes),
        data=s.DataDiff(**vars(data)),
        metrics=[s.MetricDiff(name=name, before=pair[0], after=pair[1]) for name, pair in found.metrics.items()],
        per_camera=[
            s.CameraDiff(
                camera=c.camera, ap50_before=c.ap50_before, ap50_after=c.ap50_after,
                found_before=_interval(c.found_before), found_after=_interval(c.found_after),
                right_before=_interval(c.right_before), right_after=_interval(c.right_after),
            )
            for c in found.cameras
        ],
        bytes=s.BytesDiff(full=found.full_bytes, delta=found.delta_bytes),
        tensors=s.TensorsDiff(
            same=tensors.same, changed=tensors.changed, added=tensors.added, removed=tensors.removed,
            parameters_changed=tensors.parameters_changed, names=list(tensors.names),
        ),
    )  # fmt: skip
