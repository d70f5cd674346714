"""Taking turns over servers, where a transaction reads and then decides.

On SQLite a write transaction has the whole database for itself anyhow. On PostgreSQL others write at the same time, so
whoever must not be overtaken between looking and writing takes a turn first: a lock that ends with the transaction.
"""

from __future__ import annotations

import zlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_SPACE = 0x57617973
"""First half of our locks' numbers, so that other programs of the same database have others."""


async def turn(session: AsyncSession, name: str) -> None:
    """Wait until no other transaction has the turn `name`; it is this one's until it ends."""
    if session.get_bind().dialect.name == "postgresql":
        number = zlib.crc32(name.encode()) - (1 << 31)
        await session.execute(text("SELECT pg_advisory_xact_lock(:space, :name)"), {"space": _SPACE, "name": number})
