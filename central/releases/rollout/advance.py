"""What the centre does by itself: every few seconds it looks at each rollout and does the next thing (`step`), in one
transaction; then it tells the nodes. Killed anywhere, the next look goes on: offers are told again at every start.

What nodes are offered is in `release_node`; `central.releases.offers` reads it from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from sqlalchemy import false, or_, select

from central.notify import Notifier
from central.releases.rollout import ACTIVE, STOPPED, evidence, plan, step
from central.releases.rollout.evidence import Field
from central.store.database import Database
from central.store.models import Release, Rollout, RolloutNode, RolloutWave
from protocols.trust import TrustError

log = structlog.get_logger("central.rollout")

MOST_STEP_S: Final = 10.0
"""Seconds that a rollout's clock moves in one look at most: a process that stood still for an hour saw nothing."""
ACCURACY_S: Final = 60.0
"""Between two looks at the field accuracy; people answer no faster than that."""
ENDED_S: Final = 15.0
"""Between looks at rollouts that ended and only wait for nodes to come back."""


class Teller(Protocol):
    """Who tells the nodes (`central.releases.offers.Offers`)."""

    async def tell(self, names: Sequence[str] | None) -> None:
        """Tell the nodes called `names` what counts for them."""
        ...


class Engine:
    """Advances every rollout. `tick` is called again and again, by one task of one process."""

    def __init__(
        self,
        database: Database,
        teller: Teller,
        withdraw: Callable[[Release], None],
        notifier: Notifier,
        connected: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`withdraw` takes a release's signature back, or raises TrustError, OSError; `connected`: is there one?"""
        self._database, self._teller, self._withdraw = database, teller, withdraw
        self._notifier, self._connected, self._monotonic = notifier, connected, monotonic
        self._last: float | None = None
        self._fields: dict[int, tuple[float, Field]] = {}
        self._ended_at: float | None = None
        self._revisions: dict[int, int] | None = None
        """As this process left them: another one means that a person changed something."""
        self._owed: set[str] = set()
        """Nodes that are to be told; whoever is told nothing because this process ends is told by the next one."""
        self._taken: set[int] = set()
        """Releases whose signature was taken back by this process."""

    async def tick(self) -> None:
        """Look at every rollout once. Raises SQLAlchemyError; the next call goes on."""
        elapsed = self._elapsed()
        tended, changed = await self._tended()
        self._owed |= changed
        for number in tended:
            looked = await self._field(number)
            async with self._database.write() as session:
                look = await step.load(session, number)
                look.field = looked
                before = look.rollout.revision
                await step.advance(session, look, elapsed)
            if self._revisions is not None:
                self._revisions[number] = look.rollout.revision
            self._owed |= look.tell
            if look.tell or before != look.rollout.revision:
                self._notifier.emit("release")
        await self._take_back()
        if self._owed:
            await self._teller.tell(sorted(self._owed))
            self._owed.clear()

    def _elapsed(self) -> float:
        now = self._monotonic()
        before, self._last = self._last, now if self._connected() else None
        return 0.0 if before is None or self._last is None else min(MOST_STEP_S, max(0.0, now - before))

    async def _tended(self) -> tuple[list[int], set[str]]:
        """Return the rollouts that there is something to do for, and the nodes of those that a person changed."""
        now = self._monotonic()
        waiting = self._ended_at is None or now - self._ended_at >= ENDED_S
        self._ended_at = now if waiting else self._ended_at
        expected = select(RolloutNode.rollout).where(RolloutNode.stage.in_(("away", "returning", *step.UNDER_WAY)))
        ended = Rollout.state.in_(("done", "rolled_back")) & Rollout.id.in_(expected) if waiting else false()
        query = select(Rollout.id).where(or_(Rollout.state.in_(ACTIVE), ended)).order_by(Rollout.id)
        async with self._database.read() as session:
            found = list(await session.scalars(query))
            revisions = await session.execute(select(Rollout.id, Rollout.revision))
            now_at: dict[int, int] = {row[0]: row[1] for row in revisions}
            changed = [n for n, r in now_at.items() if self._revisions is not None and self._revisions.get(n) != r]
            self._revisions = now_at
            nodes = select(RolloutNode.node).where(RolloutNode.rollout.in_(changed), RolloutNode.stage != "waiting")
            return found, set(await session.scalars(nodes)) if changed else set()

    async def _field(self, number: int) -> Field:
        """Return the field accuracy of a rollout whose wave has settled, looked up now and then."""
        at, known = self._fields.get(number, (None, step.NOTHING))
        if at is not None and self._monotonic() - at < ACCURACY_S:
            return known
        open_wave = (RolloutWave.rollout == Rollout.id) & (RolloutWave.number == Rollout.wave)
        settled = select(Rollout.plan, Rollout.pack).join(RolloutWave, open_wave).where(
            Rollout.id == number, Rollout.state == "running", RolloutWave.settled_s.is_not(None)
        )  # fmt: skip
        ran = select(RolloutNode.node, RolloutNode.from_pack).where(
            RolloutNode.rollout == number, RolloutNode.stage == "healthy", RolloutNode.from_pack.is_not(None)
        )
        async with self._database.read() as session:
            row = (await session.execute(settled)).first()
            before = {each[0]: each[1] for each in await session.execute(ran)} if row is not None else {}
        if row is None or not before:
            return step.NOTHING
        gates = msgspec.convert(row[0], plan.Plan).gates
        if not any(gates.get(name, plan.GateSettings()).on for name in ("accuracy", "worst_camera")):
            return step.NOTHING
        was = {node: address for node, address in before.items() if address is not None}
        found = await self._database.run_read(lambda session: evidence.field_accuracy(session, row[1], was))
        self._fields[number] = (self._monotonic(), found)
        return found

    async def _take_back(self) -> None:
        """Take back the signatures of what was stopped: also of what a process that was killed had stopped."""
        query = select(Release).join(Rollout, Rollout.release == Release.number).where(Rollout.state.in_(STOPPED))
        async with self._database.read() as session:
            stopped = {release.number: release for release in await session.scalars(query)}
        self._taken &= set(stopped)
        for number in sorted(set(stopped) - self._taken):
            try:
                await asyncio.to_thread(self._withdraw, stopped[number])
            except (TrustError, OSError) as error:
                log.error("a release's signature cannot be taken back", release=number, reason=str(error))
                continue
            self._taken.add(number)
