"""Ways in for programs: a token acts for its person, with a role of theirs at most, until it ends."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api.access import TOKEN_BYTES, digest
from central.api.schemas import Role
from central.store.models import ApiToken, User
from protocols.messages import utc_now

MOST: Final = 50
"""Tokens of one person."""
MAX_DAYS: Final = 730
MAX_NAME: Final = 64
"""Characters of what a token is for."""


class ProgramError(ValueError):
    """A token that cannot be had. The text says why, and what to do."""


async def add(session: AsyncSession, user: str, name: str, role: Role, days: int) -> tuple[ApiToken, str]:
    """Add a token of `user` in the open write transaction; return its row, and the token, which is kept nowhere.

    Raises ProgramError where there is no such user, or too many tokens.
    """
    person = await session.get(User, user)
    if person is None or person.disabled:
        raise ProgramError(f"no user {user!r} who may log in")
    held = await session.scalar(select(func.count()).select_from(ApiToken).where(ApiToken.user == user)) or 0
    if held >= MOST:
        raise ProgramError(f"{user} has {held} tokens; end one first")
    token, now = secrets.token_urlsafe(TOKEN_BYTES), utc_now()
    row = ApiToken(
        token_sha256=digest(token), user=user, name=name, role=role, created=now, expires=now + timedelta(days=days)
    )
    session.add(row)
    await session.flush()
    return row, token
