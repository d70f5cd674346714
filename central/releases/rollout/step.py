"""One look at one rollout, within one transaction.

running       offer to the open wave, see what became of the nodes, judge, then wait, open the next wave, or halt
halted        back, where the plan says so
rolling_back  see who is back
ended         offer to those who were away, when they come back
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.releases import offers
from central.releases.gates import Verdict
from central.releases.rollout import actions, back, evidence, history, judge, plan
from central.releases.rollout.evidence import Field
from central.releases.rollout.fared import fared
from central.releases.rollout.observe import Seen, observe, observe_back
from central.store.models import Node, Pack, Release, ReleaseNode, Rollout, RolloutNode, RolloutWave
from protocols.messages import utc_now

log = structlog.get_logger("central.rollout")

TOLD: Final = 5
"""Nodes that are named in one event; the rest is counted."""
UNDER_WAY: Final = ("offered", "installed")
NOTHING: Final = Field()


@dataclass
class Look:
    """One rollout, with everything that is looked at."""

    rollout: Rollout
    plan: plan.Plan
    nodes: dict[str, Node]
    updates: dict[str, ReleaseNode]
    """Of the rollout's release, by node."""
    backs: dict[str, ReleaseNode]
    """Of the releases that take nodes back."""
    field: Field = NOTHING
    tell: set[str] = dataclasses.field(default_factory=set)
    """Nodes whose offer changed."""

    @property
    def open(self) -> RolloutWave:
        """The wave that is open, or is to be opened."""
        return self.rollout.waves[self.rollout.wave]

    @property
    def reached(self) -> list[RolloutNode]:
        """Nodes of the waves so far."""
        return [row for row in self.rollout.nodes if row.wave <= self.rollout.wave]


async def load(session: AsyncSession, number: int) -> Look:
    """Return rollout `number` with everything that is looked at. Raises RolloutError where there is none."""
    rollout = await actions.load(session, number, lock=True)
    names = [row.node for row in rollout.nodes]
    found = await session.scalars(select(Node).where(Node.name.in_(names)).options(selectinload(Node.cameras)))
    nodes = {node.name: node for node in found}
    updates: dict[str, ReleaseNode] = {}
    backs: dict[str, ReleaseNode] = {}
    back_of = {row.node: row.back for row in rollout.nodes}
    own = select(ReleaseNode).join(Release, Release.number == ReleaseNode.release).where(Release.rollout == number)
    for update in await session.scalars(own):
        if update.release == rollout.release:
            updates[update.node] = update
        elif update.release == back_of.get(update.node):
            backs[update.node] = update
    return Look(rollout, msgspec.convert(rollout.plan, plan.Plan), nodes, updates, backs)


async def advance(session: AsyncSession, look: Look, elapsed: float) -> None:
    """Do what there is to do for the rollout of `look`, `elapsed` seconds after the last look."""
    rollout = look.rollout
    if rollout.state in ("running", "rolling_back"):
        rollout.clock_s += elapsed
    if rollout.state in ("running", "paused", "halted"):
        _observe(session, look)
    if rollout.state == "running":
        await _run(session, look)
    elif rollout.state == "halted" and look.plan.on_halt == "rollback":
        await _back(session, look)
    elif rollout.state in ("rolling_back", "rolled_back"):
        await _returning(session, look)
    elif rollout.state == "done":
        await _latecomers(session, look)
        _observe(session, look)


def _observe(session: AsyncSession, look: Look) -> None:
    """Bring every node that has the release up to date, and write down who failed."""
    failed: list[RolloutNode] = []
    rollout, now = look.rollout, utc_now()
    for row in look.rollout.nodes:
        seen = Seen.of(look.nodes[row.node], look.updates.get(row.node))
        if observe(row, seen, rollout.pack, rollout.clock_s, look.plan.deadline_s) and row.stage == "failed":
            failed.append(row)
    if failed:
        told = "; ".join(f"{row.node}: {row.reason}" for row in failed[:TOLD])
        more = f"; and {len(failed) - TOLD} more" if len(failed) > TOLD else ""
        history.note(session, rollout, "failed", told + more, now, nodes=[row.node for row in failed])


async def _run(session: AsyncSession, look: Look) -> None:
    """Do what a running rollout needs now."""
    await _released(session, look)
    if look.open.state == "waiting":
        await _open(session, look)
    await _latecomers(session, look)
    settled = not any(row.stage in UNDER_WAY and not row.late for row in look.reached)
    wave, clock_s = look.open, look.rollout.clock_s
    watched = settled and wave.settled_s is not None  # one more look at least: the field accuracy is looked up for it
    wave.settled_s = (clock_s if wave.settled_s is None else wave.settled_s) if settled else None
    seen = evidence.gather(look.reached, look.nodes, look.updates, settled, look.field)
    soaked = watched and clock_s - (wave.settled_s or 0.0) >= look.plan.soak_s
    last = look.rollout.wave + 1 == len(look.rollout.waves)
    decision = judge.decide(judge.verdicts(seen, look.plan), settled, soaked, last)
    _keep(wave, decision.verdicts)
    if decision.step == "wait":
        look.rollout.reason = decision.reason[:2000]
    elif decision.step == "halt":
        await _halt(session, look, decision.reason)
    else:
        await _pass(session, look, decision)


def _keep(wave: RolloutWave, verdicts: Sequence[Verdict]) -> None:
    found: dict[str, Any] = {
        v.gate: {"outcome": v.outcome, "value": v.value, "limit": v.limit, "reason": v.reason} for v in verdicts
    }
    if found != wave.gates:
        wave.gates = found


async def _released(session: AsyncSession, look: Look) -> None:
    """Make the rollout's release, once."""
    rollout = look.rollout
    if rollout.release is None:
        pack = await session.get_one(Pack, rollout.pack)
        release = await offers.add(session, pack, rollout.by, rollout.notes, rollout.id)
        rollout.release = release.number
        what = f"release {release.number} of pack {pack.name or pack.address[:12]}"
        history.note(session, rollout, "released", what, utc_now(), release=release.number)


async def _open(session: AsyncSession, look: Look) -> None:
    """Open the next wave: those of its nodes that are away change places with nodes of later waves that are there."""
    wave, rollout, now = look.open, look.rollout, utc_now()
    members = [row for row in rollout.nodes if row.wave == wave.number and row.stage == "waiting"]
    swapped = _swap(look, [row for row in members if look.nodes[row.node].state != "online"])
    members = [row for row in rollout.nodes if row.wave == wave.number and row.stage == "waiting"]
    wave.state, wave.opened, wave.opened_s = "open", now, rollout.clock_s
    away = []
    for row in members:
        node = look.nodes[row.node]
        if node.state == "online":
            await _offer(session, look, row)
        else:
            row.stage, row.reason, row.late = (
                "away",
                f"{node.state} since {node.since:%Y-%m-%d %H:%M} UTC; skipped",
                True,
            )
            away.append(row.node)
    names = sorted(row.node for row in members if row.stage == "offered")
    what = f"wave {wave.number + 1} of {len(rollout.waves)}: offered to {len(names)} nodes"
    what += f"; {len(away)} are away" if away else ""
    history.note(session, rollout, "wave", what, now, wave=wave.number, nodes=names, away=away, instead=swapped)


def _swap(look: Look, away: Sequence[RolloutNode]) -> dict[str, str]:
    """Let nodes that are there take the places of those `away`, within their group; return who stands in for whom."""
    spare = [
        row
        for row in look.rollout.nodes
        if row.wave > look.rollout.wave and row.stage == "waiting" and look.nodes[row.node].state == "online"
    ]
    found: dict[str, str] = {}
    for row in away:
        other = next((each for each in spare if each.group == row.group), None)
        if other is None:
            continue
        spare.remove(other)
        row.wave, other.wave = other.wave, row.wave
        found[row.node] = other.node
    return found


async def _offer(session: AsyncSession, look: Look, row: RolloutNode) -> None:
    """Offer the release to the node of `row`."""
    rollout, node = look.rollout, look.nodes[row.node]
    number = rollout.release
    if number is None:
        return
    update = look.updates.get(row.node)
    if update is None:
        update = ReleaseNode(release=number, node=row.node, step="announced", progress=0.0, reason="", report={})
        session.add(update)
        look.updates[row.node] = update
    update.withdrawn = False
    row.stage, row.reason, row.offered, row.offered_s = "offered", "", utc_now(), rollout.clock_s
    row.from_pack, row.before, row.after, row.silent_s = node.pack, fared(node), {}, None
    look.tell.add(row.node)


async def _latecomers(session: AsyncSession, look: Look) -> None:
    """Offer the release to those who were away and are back, unless a newer one counts by now."""
    rollout, counting = look.rollout, await offers.newest(session)
    overtaken = rollout.release is not None and counting is not None and counting.number > rollout.release
    names: list[str] = []
    for row in look.reached:
        if row.stage == "away" and overtaken:
            row.stage, row.reason = "withdrawn", "a newer release came in between"
        elif row.stage == "away" and look.nodes[row.node].state == "online":
            await _offer(session, look, row)
            names.append(row.node)
    if names:
        told = f"{', '.join(sorted(names)[:TOLD])} came back" + (f", and others: {len(names)}" * (len(names) > TOLD))
        history.note(session, rollout, "back_again", told, utc_now(), nodes=sorted(names))


def _freeze(look: Look) -> None:
    """Keep how the nodes of the open wave fare with the pack, for whoever looks later."""
    for row in look.reached:
        if row.stage == "healthy" and not row.after:
            row.after = fared(look.nodes[row.node])


async def _pass(session: AsyncSession, look: Look, decision: judge.Decision) -> None:
    """Close the wave; open the next one, or be done."""
    rollout, wave, now = look.rollout, look.open, utc_now()
    _freeze(look)
    wave.state, wave.closed = "passed", now
    what = f"wave {wave.number + 1} of {len(rollout.waves)} passed"
    history.note(session, rollout, "passed", what, now, wave=wave.number, gates=wave.gates)
    if decision.step == "next":
        rollout.wave += 1
        rollout.reason = ""
        await _open(session, look)
        return
    away = sum(row.stage == "away" for row in rollout.nodes)
    healthy = sum(row.stage == "healthy" for row in rollout.nodes)
    told = f"{healthy} of {len(rollout.nodes)} nodes run it" + (f"; {away} are away and get it later" if away else "")
    rollout.finished = now
    history.change(session, rollout, "done", told, now)
    if rollout.release is not None:
        (await session.get_one(Release, rollout.release)).finished = now


async def _halt(session: AsyncSession, look: Look, reason: str) -> None:
    """Stop: nobody else is offered it, and what nobody has begun is taken back."""
    rollout, wave, now = look.rollout, look.open, utc_now()
    _freeze(look)
    wave.state, wave.closed = "failed", now
    out = [row.node for row in rollout.nodes if row.stage in evidence.STATES]
    await actions.withdraw(session, rollout)
    look.tell.update(row.node for row in rollout.nodes if row.stage == "withdrawn")
    history.change(session, rollout, "halted", reason, now, wave=wave.number, gates=wave.gates, exposed=len(out))
    log.warning("a rollout halted", rollout=rollout.id, wave=wave.number + 1, exposed=len(out), reason=reason)
    if look.plan.on_halt == "rollback":
        await _back(session, look)


async def _back(session: AsyncSession, look: Look) -> None:
    """Go back by itself after a halt."""
    reason = look.rollout.reason
    history.change(session, look.rollout, "rolling_back", f"by itself: {reason}", utc_now())
    look.tell.update(await back.begin(session, look.rollout, utc_now()))


async def _returning(session: AsyncSession, look: Look) -> None:
    """See who is back; be over when everybody is, or the deadline has passed."""
    rollout, now = look.rollout, utc_now()
    for row in rollout.nodes:
        update = look.backs.get(row.node)
        target = None if row.back is None else await _pack_of(session, row.back)
        if row.stage == "returning":
            observe_back(row, Seen.of(look.nodes[row.node], update), target)
    if rollout.state != "rolling_back" or not back.over(rollout, rollout.clock_s, look.plan.deadline_s):
        return
    left = sorted(row.node for row in rollout.nodes if row.stage == "returning")
    stuck = [row for row in rollout.nodes if row.stage == "stuck"]
    told = f"{sum(row.stage == 'returned' for row in rollout.nodes)} nodes run what they ran before"
    told += f"; {len(left)} have not said so yet: {', '.join(left[:TOLD])}" if left else ""
    told += f"; {len(stuck)} are stuck: {stuck[0].node}: {stuck[0].reason}" if stuck else ""
    rollout.finished = now
    history.change(session, rollout, "rolled_back", told, now)


async def _pack_of(session: AsyncSession, number: int) -> str:
    return (await session.get_one(Release, number)).pack
