"""Wrong passwords, counted for all servers: who is locked out at one is locked out at each of them.

Each server also counts by itself (`access.LoginGate`) and asks here only what that lets through. Times are the
database's: servers' clocks may differ. What lies in its future, because its clock was set back, does not count.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from central.api.access import GATE_S, MAX_FAILURES, MAX_FAILURES_ADDRESS
from central.store.database import Database
from central.store.models import LoginFailure

_NOW = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())::double precision",
}


async def _now(session: AsyncSession) -> float:
    """Return the seconds that the database's clock shows."""
    return float((await session.execute(text(_NOW[session.get_bind().dialect.name]))).scalar_one())


class Ledger:
    """The wrong passwords in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attempt(self, name: str, address: str) -> float:
        """Return the seconds until another attempt is let through; one that is let through counts as wrong until it
        `passed`."""
        async with self._database.write() as session:
            now = await _now(session)
            await session.execute(
                delete(LoginFailure).where((LoginFailure.at <= now - GATE_S) | (LoginFailure.at > now + GATE_S))
            )
            for limit, where in (
                (MAX_FAILURES, (LoginFailure.address == address, LoginFailure.name == name)),
                (MAX_FAILURES_ADDRESS, (LoginFailure.address == address,)),
            ):
                wait = await _wait(session, now, limit, where)
                if wait > 0:
                    return wait
            session.add(LoginFailure(name=name, address=address, at=now))
        return 0.0

    async def passed(self, name: str, address: str) -> None:
        """Forget the wrong passwords of somebody who then knew it, and that this attempt counted."""
        mine = (LoginFailure.address == address, LoginFailure.name == name)
        async with self._database.write() as session:
            await session.execute(delete(LoginFailure).where(*mine))


async def _wait(session: AsyncSession, now: float, limit: int, where: tuple[ColumnElement[bool], ...]) -> float:
    """Return the seconds until fewer than `limit` wrong passwords of those count."""
    query = select(LoginFailure.at).where(*where, LoginFailure.at <= now)
    recent = list(await session.scalars(query.order_by(LoginFailure.at.desc()).limit(limit)))
    return float(recent[-1] + GATE_S - now) if len(recent) == limit else 0.0
