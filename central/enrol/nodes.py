"""The table of enrolments: who has a certificate that counts, and who was shut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.enrol.authority import Authority, Issued
from central.store.models import Enrolment, Node, NodeEvent
from protocols import topics
from protocols.messages import utc_now


class EnrolError(ValueError):
    """A node that cannot be enrolled or revoked. The text says why and what to do."""


@dataclass(frozen=True)
class ShutOut:
    """Who must not connect: nodes without a certificate that counts, and every certificate that was revoked."""

    names: frozenset[str] = frozenset()
    serials: tuple[tuple[str, datetime], ...] = ()
    """Hexadecimal serial number and since when, in the order in which they were revoked."""


async def active(session: AsyncSession, name: str) -> Sequence[Enrolment]:
    """Return the enrolments of node `name` that were not revoked."""
    query = select(Enrolment).where(Enrolment.node == name, Enrolment.revoked.is_(None))
    return list(await session.scalars(query))


async def add(session: AsyncSession, authority: Authority, name: str, site: str, replace: bool = False) -> Issued:
    """Enrol node `name` at `site` and return its certificate; with `replace`, those that it had are revoked.

    Raises EnrolError where it is enrolled already, TopicError where a name is no identity.
    """
    topics.check_identity(site)
    held = await active(session, topics.check_identity(name))
    if held and not replace:
        raise EnrolError(
            f"node {name} is enrolled already; --replace makes a new file and locks out whoever has the old one"
        )
    now = utc_now()
    for row in held:
        row.revoked = now
    issued = authority.issue(name)
    session.add(Enrolment(serial=issued.serial, node=name, site=site, made=now, expires=issued.expires))
    return issued


async def revoke(session: AsyncSession, name: str) -> list[str]:
    """Revoke what node `name` has and return the serial numbers. Raises EnrolError where it has nothing."""
    held = await active(session, topics.check_identity(name))
    if not held:
        raise EnrolError(f"node {name} is not enrolled, or was revoked before; 'node list' shows who is")
    now = utc_now()
    for row in held:
        row.revoked = now
    node = await session.get(Node, name)
    if node is not None:
        node.state, node.since = "offline", now
        session.add(NodeEvent(node=name, at=now, kind="status", detail="revoked: it may not connect any more"))
    return [row.serial for row in held]


async def shut_out(session: AsyncSession) -> ShutOut:
    """Return who must not connect, as the table says now."""
    rows = list(await session.scalars(select(Enrolment).order_by(Enrolment.revoked, Enrolment.serial)))
    revoked = [(row.serial, row.revoked) for row in rows if row.revoked is not None]
    counting = {row.node for row in rows if row.revoked is None}
    return ShutOut(frozenset(row.node for row in rows) - counting, tuple(revoked))


async def listing(session: AsyncSession) -> dict[str, dict[str, str]]:
    """Return by node how its newest enrolment stands: ``state`` (enrolled or revoked), ``made``, ``expires``."""
    rows = await session.scalars(select(Enrolment).order_by(Enrolment.made))
    return {
        row.node: {
            "state": "enrolled" if row.revoked is None else "revoked",
            "site": row.site, "made": row.made.isoformat(), "expires": row.expires.isoformat(),
        }
        for row in rows
    }  # fmt: skip
