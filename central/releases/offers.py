"""Which pack each node should run: the newest release that is for it, published retained, and again whenever in doubt.

A release of a rollout is for the nodes that it was offered to (`ReleaseNode`, not withdrawn); any other one, and that
of a rollout through the whole fleet once it is done, is for everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
import structlog
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.learn.drift.boost import shares_of
from central.link import Publisher
from central.releases import held
from central.releases.rollout import ACTIVE, STOPPED
from central.store.database import Database
from central.store.models import Node, Pack, Policy, Release, ReleaseNode, Rollout, Setting
from protocols import messages as m
from protocols.trust import TrustError

log = structlog.get_logger("central.offers")

DEFAULT_POLICY = "*"
"""The row of `Policy` that counts for every node without one of its own."""

FLOOR = "releases.floor"
"""The setting under which the number stands that every later release is above."""
LEAP = 1000
"""Releases; more than a centre makes between two backups."""


class ReleaseError(ValueError):
    """A release that cannot be made. The text says why."""


def release_message(release: Release) -> m.Release:
    """Return `release` as nodes get it."""
    return m.Release(
        number=release.number, pack=release.pack, size=release.size_bytes, name=release.name, time=release.at,
        notes=release.notes,
    )  # fmt: skip


def policy_message(policy: Policy, shares: Mapping[str, float] | None = None) -> m.Policy:
    """Return `policy` as nodes get it, with the shares of single cameras."""
    names = [name for name in m.Policy.__struct_fields__ if name != "shares"]
    fields: dict[str, Any] = {name: getattr(policy, name) for name in names}
    return msgspec.convert({**fields, "shares": shares or {}}, m.Policy)


def counts() -> ColumnElement[bool]:
    """Return the condition that a release is for everybody."""
    whole = select(Rollout.release).where(Rollout.state == "done", Rollout.fleet, Rollout.release.is_not(None))
    return or_(Release.rollout.is_(None), Release.number.in_(whole))


async def newest(session: AsyncSession) -> Release | None:
    """Return the release that counts: the newest that is for everybody."""
    return (await session.scalars(select(Release).where(counts()).order_by(Release.number.desc()).limit(1))).first()


async def due(session: AsyncSession, nodes: Collection[str]) -> dict[str, Release | None]:
    """Return for each of `nodes` the release that it should run; None where there is none for it."""
    general = await newest(session)
    number = general.number if general else 0
    own = (
        select(ReleaseNode.node, func.max(ReleaseNode.release))
        .where(~ReleaseNode.withdrawn, ReleaseNode.release > number)
        .group_by(ReleaseNode.node)
    )
    latest: dict[str, int] = {row[0]: row[1] for row in await session.execute(own)}
    named = select(Release).where(Release.number.in_(set(latest.values())))
    known = {release.number: release for release in await session.scalars(named)} if latest else {}
    return {node: known[latest[node]] if node in latest else general for node in nodes}


async def withdrawn(session: AsyncSession) -> set[str]:
    """Return the nodes that some offer was taken back from."""
    return set(await session.scalars(select(ReleaseNode.node).where(ReleaseNode.withdrawn).distinct()))


async def stopped(session: AsyncSession) -> set[int]:
    """Return the releases of rollouts that were stopped: they are signed no more."""
    query = select(Rollout.release).where(Rollout.state.in_(STOPPED), Rollout.release.is_not(None))
    return {number for number in await session.scalars(query) if number is not None}


async def busy(session: AsyncSession) -> Rollout | None:
    """Return a rollout that is under way, if any."""
    return (await session.scalars(select(Rollout).where(Rollout.state.in_(ACTIVE)).limit(1))).first()


async def _floor(session: AsyncSession) -> int:
    row = await session.get(Setting, FLOOR)
    return int(row.value) if row is not None else 0


async def leap(session: AsyncSession) -> int:
    """Let the next release have a number far above the last one's, and return that number less one.

    For a centre that was brought back from a backup: nodes finished releases after that, and begin none below those.
    """
    floor = max((await session.scalar(select(func.max(Release.number)))) or 0, await _floor(session)) + LEAP
    await session.merge(Setting(key=FLOOR, value=floor, updated=m.utc_now()))
    return floor


async def add(session: AsyncSession, pack: Pack, by: str, notes: str, rollout: int | None = None) -> Release:
    """Add the next release, of `pack`, and return it; nobody is offered it yet."""
    number = max((await session.scalar(select(func.max(Release.number)))) or 0, await _floor(session)) + 1
    release = Release(
        number=number, pack=pack.address, name=pack.name, by=by, notes=notes[: m.MAX_TEXT],
        size_bytes=pack.size_bytes, rollout=rollout,
    )  # fmt: skip
    session.add(release)
    await session.flush()
    return release


def _check(pack: Pack) -> None:
    try:
        held.check(pack)
    except held.HeldError as error:
        raise ReleaseError(str(error)) from None


async def create(database: Database, pack: str, by: str, notes: str = "") -> Release:
    """Make the next release, of the registered pack with address `pack`, and return it. Raises ReleaseError."""
    async with database.write() as session:
        row = await session.get(Pack, pack)
        if row is None:
            raise ReleaseError(f"pack {pack[:12]} is not registered here; register it first")
        _check(row)
        running = await busy(session)
        if running is not None:
            raise ReleaseError(
                f"rollout {running.id} is {running.state.replace('_', ' ')}; end it first: abort it, or roll it back"
            )
        release = await add(session, row, by, notes)
        session.add_all([ReleaseNode(release=release.number, node=n) for n in await session.scalars(select(Node.name))])
        return release


class Offers:
    """Publishes to each node what counts for it: its release and its policy."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        sign: Callable[[Release], None],
        retract: Callable[[str, str], bool] = lambda _channel, _node: True,
        fetch: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        """`sign` signs a release before anybody is told of it, once. Raises TrustError, OSError. `retract` takes back
        what is retained on a channel for a node. `fetch` has a pack here that another server registered."""
        self._database, self._publisher, self._sign, self._retract = database, publisher, sign, retract
        self._fetch = fetch
        self._told: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Tell every node anew, because the broker may have lost what it retained."""
        self._told.clear()

    async def tell_all(self) -> None:
        """Tell every node that is known."""
        await self.tell(None)

    async def tell(self, names: Collection[str] | None) -> None:
        """Tell the nodes called `names`, those of them that are known; None: all of them."""
        query = select(Node.name, Node.boot).order_by(Node.name)
        async with self._database.read() as session:
            nodes = list(await session.execute(query if names is None else query.where(Node.name.in_(names))))
            releases = await due(session, [name for name, _ in nodes])
            policies = {p.node: p for p in await session.scalars(select(Policy))}
            back, over = await withdrawn(session), await stopped(session)
            shares = await shares_of(session, m.utc_now(), names)
        signed = await self._signed({r.number: r for r in releases.values() if r is not None}, over)
        for name, boot in nodes:
            release = releases[name]
            if release is None and name in back:
                self._retract("release", name)
            offered = release if release is not None and release.number in signed else None
            policy = policies.get(name) or policies.get(DEFAULT_POLICY)
            told = None if policy is None else policy_message(policy, shares.get(name))
            self._tell(name, boot, offered, told)

    async def greet(self, node: str, boot: str) -> None:
        """Tell `node`, unless it was told since it started and since the broker did."""
        if (node, boot) in self._told:
            return
        async with self._database.read() as session:
            release = (await due(session, [node]))[node]
            policy = await session.get(Policy, node) or await session.get(Policy, DEFAULT_POLICY)
            over = await stopped(session)
            shares = await shares_of(session, m.utc_now(), [node]) if policy is not None else {}
        signed = await self._signed({release.number: release} if release is not None else {}, over)
        told = None if policy is None else policy_message(policy, shares.get(node))
        self._tell(node, boot, release if signed else None, told)

    async def _signed(self, releases: dict[int, Release], over: Collection[int]) -> set[int]:
        """Sign `releases`, but not those that are `over`, and return the numbers of those that may be told: no node
        would take another one, and those that were stopped go only to nodes that have them."""
        done: set[int] = set()
        for number, release in sorted(releases.items()):
            if number in over:
                done.add(number)
                continue
            try:
                if self._fetch is not None:
                    await self._fetch(release.pack)
                await asyncio.to_thread(self._sign, release)
            except (TrustError, OSError) as error:
                log.error("a release cannot be signed; no node is told of it", number=number, reason=str(error))
                continue
            done.add(number)
        return done

    def _tell(self, node: str, boot: str, release: Release | None, policy: m.Policy | None) -> None:
        told = True
        if policy is not None:  # else nobody decided anything here, and the node's own configuration stands
            told = self._publisher.publish("policy", node, policy)
        if release is not None:
            told = self._publisher.publish("release", node, release_message(release)) and told
        if told:
            self._told.add((node, boot))
