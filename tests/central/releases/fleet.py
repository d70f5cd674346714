"""A fleet in memory: real tables, real engine, real offers; nodes that do what a test says; a clock that a test moves.

world.step()   every node does what it was offered, speaks, and the centre looks once
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.ingest import presence
from central.notify import Notifier
from central.releases import offers, tracking
from central.releases.rollout import actions
from central.releases.rollout.advance import Engine
from central.store.database import Database
from central.store.models import Node, Pack, Release, Rollout, RolloutNode
from protocols import messages as m

OLD, NEW = "a" * 64, "b" * 64
BEGAN = datetime(2026, 5, 17, 8, 0, tzinfo=UTC)
Behaviour = str
"""What a node does with a release: ``good``, ``fail`` (goes back and says why), ``silent`` (never heard of again),
``stall`` (begins, and never ends), ``dies`` (installs, and is never heard of again), ``lies`` (runs the old)."""


@dataclass
class Fake:
    """A node."""

    name: str
    behaviour: Behaviour = "good"
    site: str = "north"
    online: bool = True
    pack: str = OLD
    release: int = 0
    crashes: int = 0
    latency: float = 20.0
    shadow: m.Shadow | None = None
    offered: list[tuple[int, str]] = field(default_factory=list)
    """Numbers and packs of the releases that it was offered, as the broker has them."""


@dataclass
class World:
    """The centre's tables and engine, and the nodes."""

    database: Database
    nodes: dict[str, Fake]
    now: float = 0.0
    connected: bool = True
    signed: set[int] = field(default_factory=set)
    revoked: list[int] = field(default_factory=list)
    retained: dict[str, m.Release | None] = field(default_factory=dict)
    engine: Any = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is remembered but what is in the tables and in the broker."""
        teller = offers.Offers(self.database, self, self._sign, self._retract)
        self.engine = Engine(self.database, teller, self._revoke, Notifier(), lambda: self.connected, lambda: self.now)
        self.teller = teller

    def _sign(self, release: Release) -> None:
        self.signed.add(release.number)

    def _revoke(self, release: Release) -> None:
        self.signed.discard(release.number)
        self.revoked.append(release.number)

    def _retract(self, channel: str, node: str) -> bool:
        self.retained[node] = None
        return True

    def publish(self, channel: str, node: str, message: m.Message) -> bool:
        """The broker: keeps what is retained for each node."""
        if isinstance(message, m.Release):
            self.retained[node] = message
        return True

    def clock(self) -> datetime:
        return BEGAN + timedelta(seconds=self.now)

    async def begin(self, old: str = OLD, new: str = NEW) -> None:
        """Two packs; every node runs the first, by release 1."""
        async with self.database.write() as session:
            session.add_all([Pack(address=a, name=a[:4], size_bytes=9) for a in (old, new)])
            for node in self.nodes.values():
                await self._birth(session, node)
        await offers.create(self.database, old, "me")
        async with self.database.write() as session:
            for node in self.nodes.values():
                node.pack, node.release = old, 1
                await self._say(session, node, 1, old, "committed")
                await self._health(session, node)

    async def _birth(self, session: AsyncSession, node: Fake) -> None:
        status = m.Status(
            state="online", node=node.name, boot="b", site=node.site, pack=node.pack, release=node.release or None,
            backend="cpu",
        )  # fmt: skip
        row = await presence.apply_status(session, status, self.clock())
        await tracking.apply_running(session, row, self.clock())

    async def _health(self, session: AsyncSession, node: Fake) -> None:
        camera = m.CameraHealth(
            camera="c", state="watching", fps=10.0, frames=100, selected=5, latency_p50_ms=node.latency
        )
        health = m.Health(
            node=node.name, boot="b", time=self.clock(), uptime_s=9.0, pack=node.pack, crashes=node.crashes,
            cameras=[camera],
        )  # fmt: skip
        await presence.apply_health(session, health, self.clock())

    async def _say(
        self, session: AsyncSession, node: Fake, number: int, pack: str, step: Any, **more: Any
    ) -> None:  # fmt: skip
        update = m.Update(
            node=node.name, boot="b", time=self.clock(), release=number, pack=pack, step=step, progress=1.0, **more
        )
        await tracking.apply_update(session, update, self.clock())

    async def say(self, node: Fake, number: int, pack: str, step: Any) -> None:
        """A node tells a step of an update, whatever it was offered."""
        async with self.database.write() as session:
            await self._say(session, node, number, pack, step)

    async def away(self, *names: str, online: bool = False) -> None:
        """Nodes go offline, or come back."""
        async with self.database.write() as session:
            for name in names:
                await self._leave(session, self.nodes[name], online)

    async def _leave(self, session: AsyncSession, node: Fake, online: bool = False) -> None:
        node.online = online
        row = await session.get_one(Node, node.name)
        row.state, row.since = ("online" if online else "offline"), self.clock()

    async def live(self) -> None:
        """Each node that is there does what it was offered, and says how it fares."""
        async with self.database.write() as session:
            for node in self.nodes.values():
                if node.online:
                    await self._obey(session, node)
                if node.online:
                    await self._health(session, node)

    async def _obey(self, session: AsyncSession, node: Fake) -> None:
        release = self.retained.get(node.name)
        if release is None or release.number <= max(node.release, *(n for n, _ in node.offered), 0):
            return
        node.offered.append((release.number, release.pack))
        behaviour, of = (node.behaviour if release.pack == NEW else "good"), (node, release.number, release.pack)
        if release.number not in self.signed:
            await self._say(session, *of, "rolled-back", reason="refused: mixed")
        elif behaviour == "fail":
            await self._say(session, *of, "rolled-back", reason="checking: scores is off by 0.2", failed="checking")
        elif behaviour == "silent":
            await self._leave(session, node)
        elif behaviour == "stall":
            await self._say(session, *of, "fetching")
        else:
            await self._say(session, *of, "committed", shadow=node.shadow, starts=1)
            node.release, node.pack = release.number, release.pack
            if behaviour == "dies":
                await self._leave(session, node)
            elif behaviour == "lies":
                node.pack = OLD

    async def step(self, seconds: float = 10.0, live: bool = True) -> None:
        """The nodes live, time passes, the centre looks once."""
        if live:
            await self.live()
        self.now += seconds
        await self.engine.tick()

    async def until(
        self, number: int, states: Sequence[str], limit: int = 200, seconds: float = 10.0,
        each: Callable[[], None] = lambda: None,
    ) -> str:  # fmt: skip
        """Step until the rollout is in one of `states`; return it."""
        for _ in range(limit):
            state = (await self.rollout(number)).state
            if state in states:
                return state
            await self.step(seconds)
            each()
        raise AssertionError(f"still {state} after {limit} looks: {(await self.rollout(number)).reason}")

    async def rollout(self, number: int) -> Rollout:
        async with self.database.read() as session:
            return await actions.load(session, number)

    async def stages(self, number: int) -> dict[str, str]:
        async with self.database.read() as session:
            rows = await session.scalars(select(RolloutNode).where(RolloutNode.rollout == number))
            return {row.node: row.stage for row in rows}

    async def start(self, plan: dict[str, Any] | None = None) -> int:
        """Plan and start a rollout of the new pack."""
        raw = {"soak_s": 0, "deadline_s": 60, "seed": 1, "order": "name", **(plan or {})}
        number = await actions.create(self.database, NEW, raw, "anna")
        await actions.start(self.database, number, None, "anna")
        return number

    def exposed(self) -> list[str]:
        """Nodes that were offered the new pack by the broker and heard it."""
        return [n.name for n in self.nodes.values() if any(pack == NEW for _, pack in n.offered)]


def fleet(database: Database, count: int, **behaviours: Behaviour) -> World:
    """A world of `count` good nodes ``n00``, ``n01`` ..., except `behaviours` by name."""
    names = [f"n{i:02d}" for i in range(count)]
    return World(database, {name: Fake(name, behaviours.get(name, "good")) for name in names})
