"""Users and their passwords: argon2id, one-time first password, nothing by default.

Hashing runs on a thread and few at a time: each takes 64 MiB, and a flood of logins must not take the machine.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api.schemas import MAX_PASSWORD, MIN_PASSWORD, Role
from central.store.database import Database
from central.store.models import Session, User

ADMIN: Final = "admin"
HASHES_AT_ONCE: Final = 2
"""Concurrent argon2 computations, 64 MiB and a core each."""
ONE_TIME_BYTES: Final = 12
"""Random bytes of a password that we make: 96 bits, 16 characters to type."""
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")
_hasher: Final = PasswordHasher()
_pool: Final = ThreadPoolExecutor(HASHES_AT_ONCE, "argon2")
_nobody: Final = "$argon2id$v=19$m=65536,t=3,p=4$" + "c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
"""Never matches; verifying it takes as long as a real one, so that names cannot be told apart by time."""


class UserError(ValueError):
    """A user or a password that cannot be had. The text says why, and what to do."""


def check_name(name: str) -> str:
    """Return `name`, or raise UserError."""
    if not _NAME.match(name):
        raise UserError(f"user name {name[:80]!r}: use 1 to 64 letters, digits, '_', '.', '@' or '-'")
    return name


def check_password(password: str, name: str) -> str:
    """Return `password`, or raise UserError where it is too short, too long, or the name."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UserError(f"password: use {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    if password.lower() == name.lower():
        raise UserError("password: use something other than the name")
    return password


def one_time() -> str:
    """Return a random password."""
    return secrets.token_urlsafe(ONE_TIME_BYTES)


async def hash_password(password: str) -> str:
    """Return the argon2id hash of `password`, with its salt and parameters."""
    return await asyncio.get_running_loop().run_in_executor(_pool, _hasher.hash, password)


def _verify(encoded: str, password: str) -> bool:
    try:
        return _hasher.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


async def matches(user: User | None, password: str) -> bool:
    """Say whether `password` is that of `user`; for nobody it takes as long and is never so."""
    encoded = _nobody if user is None or user.disabled else user.password
    right = await asyncio.get_running_loop().run_in_executor(_pool, _verify, encoded, password)
    return right and encoded is not _nobody


async def add(session: AsyncSession, name: str, role: Role, hashed: str) -> User:
    """Add a user in the open write transaction. Raises UserError where the name is taken."""
    check_name(name)
    if await session.get(User, name) is not None:
        raise UserError(f"user {name!r} exists already")
    user = User(name=name, role=role, password=hashed)
    session.add(user)
    return user


async def set_password(session: AsyncSession, name: str, hashed: str, keep_session: str | None = None) -> None:
    """Give `name` another password in the open write transaction and end every session but `keep_session`."""
    user = await session.get(User, name)
    if user is None:
        raise UserError(f"no user {name!r}")
    user.password = hashed
    ended = delete(Session).where(Session.user == name)
    await session.execute(ended if keep_session is None else ended.where(Session.token_sha256 != keep_session))


async def first_admin(database: Database) -> str | None:
    """Where there is no user yet, add `admin` and return its one-time password; else None."""
    query = select(func.count()).select_from(User)
    async with database.read() as session:
        if await session.scalar(query):
            return None
    password = one_time()
    hashed = await hash_password(password)
    async with database.write() as session:
        if await session.scalar(query):
            return None
        await add(session, ADMIN, "admin", hashed)
    return password
