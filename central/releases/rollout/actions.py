"""What people do with rollouts. Each is one transaction; the centre that serves goes on from there.

A change names the revision that it was decided on: where somebody was faster, it is refused and nothing happens.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from central.releases import held, offers
from central.releases.rollout import ACTIVE, OUT, BusyError, RolloutError, StaleError, back, history, plan, state
from central.store.database import Database
from central.store.models import Node, Pack, Release, ReleaseNode, Rollout, RolloutNode, RolloutWave
from protocols.messages import MAX_TEXT, utc_now

SEEDS: Final = 2**31


async def fleet(session: AsyncSession) -> list[plan.Member]:
    """Return every node that is known, as plans see it."""
    rows = await session.scalars(select(Node).options(selectinload(Node.cameras)))
    return [plan.Member(n.name, n.site, frozenset(t for c in n.cameras for t in c.tags)) for n in rows]


async def preview(database: Database, raw: Mapping[str, Any]) -> list[plan.Wave]:
    """Return the waves that the plan in `raw` would make of the nodes that there are. Raises RolloutError."""
    parsed = plan.parse(raw)
    async with database.read() as session:
        return plan.make(parsed, await fleet(session))


async def create(database: Database, pack: str, raw: Mapping[str, Any], by: str, notes: str = "") -> int:
    """Plan a rollout of the registered pack with address `pack` and return its number. Nobody is offered anything yet.

    Raises RolloutError.
    """
    parsed = plan.parse(raw)
    if parsed.seed == 0:
        parsed = msgspec.structs.replace(parsed, seed=random.randrange(1, SEEDS))
    async with database.write() as session:
        row = await session.get(Pack, pack)
        if row is None:
            raise RolloutError(f"pack {pack[:12]} is not registered here; register it first")
        try:
            held.check(row)
        except held.HeldError as error:
            raise RolloutError(str(error)) from None
        counting = await offers.newest(session)
        waves = plan.make(parsed, await fleet(session))
        made = Rollout(
            pack=pack, from_pack=counting.pack if counting else None, fleet=plan.covers_all(parsed),
            plan=plan.render(parsed), by=by, notes=notes[:MAX_TEXT],
        )  # fmt: skip
        made.waves = [RolloutWave(number=i, group=wave.group) for i, wave in enumerate(waves)]
        made.nodes = [
            RolloutNode(node=node, wave=i, group=wave.group) for i, wave in enumerate(waves) for node in wave.nodes
        ]
        session.add(made)
        await session.flush()
        what = f"{sum(len(w.nodes) for w in waves)} nodes in {len(waves)} waves"
        history.note(session, made, "planned", notes or what, utc_now(), by, nodes=[len(w.nodes) for w in waves])
        return made.id


async def load(session: AsyncSession, rollout: int, lock: bool = False) -> Rollout:
    """Return the rollout with its waves and nodes; `lock`: nobody else changes it until the transaction ends, on a
    database that has several writers. Raises RolloutError where there is none."""
    options = [selectinload(Rollout.waves), selectinload(Rollout.nodes)]
    row = await session.get(Rollout, rollout, options=options, with_for_update=True if lock else None)
    if row is None:
        raise RolloutError(f"no rollout {rollout}; see 'wayside-central rollout status'")
    return row


async def _held(session: AsyncSession, revision: int | None, rollout: int) -> Rollout:
    """Return the rollout, which nobody changed since `revision`. Raises StaleError."""
    row = await load(session, rollout, lock=True)
    if revision is not None and row.revision != revision:
        raise StaleError(
            f"rollout {rollout} was changed meanwhile: it is {row.state.replace('_', ' ')} at revision {row.revision}, "
            f"not {revision}; look again, then decide"
        )
    return row


async def _alone(session: AsyncSession, row: Rollout) -> None:
    """Raise BusyError where another rollout is under way: two that judge the same fleet would judge each other."""
    query = select(Rollout).where(Rollout.state.in_(ACTIVE), Rollout.id != row.id).limit(1)
    other = (await session.scalars(query)).first()
    if other is not None:
        raise BusyError(
            f"rollout {other.id} is {other.state.replace('_', ' ')}; end it first: abort it, or roll it back"
        )


async def start(database: Database, rollout: int, revision: int | None, by: str, reason: str = "") -> None:
    """Begin with the first wave. Raises RolloutError."""
    async with database.write() as session:
        row = await _held(session, revision, rollout)
        target = state.after("start", row.state)
        await _alone(session, row)
        await _joined(session, row)
        row.started = utc_now()
        history.change(session, row, target, reason or "started", utc_now(), by)


async def _joined(session: AsyncSession, row: Rollout) -> None:
    """Put nodes that came after it was planned into the last wave, where the plan has every node."""
    if not row.fleet:
        return
    known, last = {n.node for n in row.nodes}, row.waves[-1]
    for name in await session.scalars(select(Node.name).order_by(Node.name)):
        if name not in known:
            row.nodes.append(RolloutNode(node=name, wave=last.number, group=last.group))


async def pause(database: Database, rollout: int, revision: int | None, by: str, reason: str = "") -> None:
    """Offer it to nobody else for now; its clock stands still. Raises RolloutError."""
    async with database.write() as session:
        row = await _held(session, revision, rollout)
        history.change(session, row, state.after("pause", row.state), reason or "paused", utc_now(), by)


async def resume(
    database: Database,
    rollout: int,
    revision: int | None,
    by: str,
    reason: str = "",
    gates: Mapping[str, Any] | None = None,
) -> None:
    """Go on. After a halt the failures so far are forgiven, and offers that were taken back are made again; `gates` set
    other limits from now on. Raises RolloutError."""
    async with database.write() as session:
        row = await _held(session, revision, rollout)
        target = state.after("resume", row.state)
        await _alone(session, row)
        if gates:
            row.plan = plan.render(plan.parse({**row.plan, "gates": {**row.plan.get("gates", {}), **gates}}))
        forgiven = [n for n in row.nodes if n.stage == "failed" and not n.forgiven]
        for node in forgiven:
            node.forgiven = True
        for node in row.nodes:
            if node.stage == "withdrawn":
                node.stage, node.reason, node.late = "away", "its offer was taken back; it is made again", True
        for wave in row.waves:
            if wave.state == "failed":
                wave.state, wave.closed, wave.settled_s = "open", None, None
        told = reason or ("resumed" + (f"; {len(forgiven)} failures forgiven" if forgiven else ""))
        names = [n.node for n in forgiven]
        history.change(session, row, target, told, utc_now(), by, gates=dict(gates or {}), forgiven=names)


async def withdraw(session: AsyncSession, row: Rollout) -> None:
    """Take back the offers of `row` that no node has ended; those that it has stay as they are."""
    if row.release is None:
        return
    for node in row.nodes:
        if node.stage == "offered":
            node.stage, node.reason = "withdrawn", "stopped before it had installed the pack"
            offer = await session.get(ReleaseNode, (row.release, node.node))
            if offer is not None:
                offer.withdrawn = True


async def abort(database: Database, rollout: int, revision: int | None, by: str, reason: str = "") -> None:
    """Stop offering it, for good; nodes that run it go on running it. Raises RolloutError."""
    async with database.write() as session:
        row = await _held(session, revision, rollout)
        target = state.after("abort", row.state)
        await withdraw(session, row)
        row.finished = utc_now()
        history.change(session, row, target, reason or "aborted", utc_now(), by)


async def rollback(database: Database, rollout: int, revision: int | None, by: str, reason: str = "") -> None:
    """Take every node that got it back to the pack that it had, by new releases. Raises RolloutError."""
    async with database.write() as session:
        row = await _held(session, revision, rollout)
        target = state.after("rollback", row.state)
        await _alone(session, row)
        if row.state == "done":
            await _followers(session, row)
        if row.release is not None and not any(n.stage in OUT for n in row.nodes):
            told = reason or "rolled back; no node had got it"
        else:
            told = reason or "rolled back"
        history.change(session, row, target, told, utc_now(), by)
        await back.begin(session, row, utc_now(), by)


async def _followers(session: AsyncSession, row: Rollout) -> None:
    """Add nodes that got the release after the rollout was done, as new nodes do."""
    release = await session.get(Release, row.release) if row.release is not None else None
    if release is None:
        return
    known = {n.node for n in row.nodes}
    running = select(Node).where(Node.release == release.number, Node.pack == release.pack)
    for node in await session.scalars(running):
        if node.name not in known:
            last = max((w.number for w in row.waves), default=0)
            row.nodes.append(
                RolloutNode(node=node.name, wave=last, stage="healthy", late=True, from_pack=row.from_pack)
            )
