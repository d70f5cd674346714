"""Which pack the nodes should run: the newest release, published retained to each, and again whenever in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.link import Publisher
from central.store.database import Database
from central.store.models import Node, Pack, Policy, Release, ReleaseNode
from protocols import messages as m
from protocols.trust import TrustError

log = structlog.get_logger("central.offers")

DEFAULT_POLICY = "*"
"""The row of `Policy` that counts for every node without one of its own."""


class ReleaseError(ValueError):
    """A release that cannot be made. The text says why."""


def release_message(release: Release) -> m.Release:
    """Return `release` as nodes get it."""
    return m.Release(
        number=release.number, pack=release.pack, size=release.size_bytes, name=release.name, time=release.at,
        notes=release.notes,
    )  # fmt: skip


def policy_message(policy: Policy) -> m.Policy:
    """Return `policy` as nodes get it."""
    fields: dict[str, Any] = {name: getattr(policy, name) for name in m.Policy.__struct_fields__}
    return msgspec.convert(fields, m.Policy)


async def newest(session: AsyncSession) -> Release | None:
    """Return the release that counts."""
    return (await session.scalars(select(Release).order_by(Release.number.desc()).limit(1))).first()


async def create(database: Database, pack: str, by: str, notes: str = "") -> Release:
    """Make the next release, of the registered pack with address `pack`, and return it. Raises ReleaseError."""
    async with database.write() as session:
        row = await session.get(Pack, pack)
        if row is None:
            raise ReleaseError(f"pack {pack[:12]} is not registered here; register it first")
        number = ((await session.scalar(select(func.max(Release.number)))) or 0) + 1
        release = Release(
            number=number, pack=pack, name=row.name, by=by, notes=notes[: m.MAX_TEXT], size_bytes=row.size_bytes
        )
        session.add(release)
        await session.flush()
        session.add_all([ReleaseNode(release=number, node=node) for node in await session.scalars(select(Node.name))])
        return release


class Offers:
    """Publishes to each node what counts for it: the newest release and its policy."""

    def __init__(self, database: Database, publisher: Publisher, sign: Callable[[Release], None]) -> None:
        """`sign` signs a release before anybody is told of it, once. Raises TrustError, OSError."""
        self._database, self._publisher, self._sign = database, publisher, sign
        self._told: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Tell every node anew, because the broker may have lost what it retained."""
        self._told.clear()

    async def tell_all(self) -> None:
        """Tell every node that is known."""
        async with self._database.read() as session:
            release = await newest(session)
            policies = {p.node: p for p in await session.scalars(select(Policy))}
            nodes = list(await session.execute(select(Node.name, Node.boot)))
        release = await self._signed(release)
        for name, boot in nodes:
            self._tell(name, boot, release, policies.get(name) or policies.get(DEFAULT_POLICY))

    async def greet(self, node: str, boot: str) -> None:
        """Tell `node`, unless it was told since it started and since the broker did."""
        if (node, boot) in self._told:
            return
        async with self._database.read() as session:
            release = await newest(session)
            policy = await session.get(Policy, node) or await session.get(Policy, DEFAULT_POLICY)
        release = await self._signed(release)
        self._tell(node, boot, release, policy)

    async def _signed(self, release: Release | None) -> Release | None:
        """Return `release`, signed; None where it cannot be, as no node would take it."""
        if release is None:
            return None
        try:
            await asyncio.to_thread(self._sign, release)
        except (TrustError, OSError) as error:
            log.error("a release cannot be signed; no node is told of it", number=release.number, reason=str(error))
            return None
        return release

    def _tell(self, node: str, boot: str, release: Release | None, policy: Policy | None) -> None:
        told = True
        if policy is not None:  # else nobody decided anything here, and the node's own configuration stands
            told = self._publisher.publish("policy", node, policy_message(policy))
        if release is not None:
            told = self._publisher.publish("release", node, release_message(release)) and told
        if told:
            self._told.add((node, boot))
