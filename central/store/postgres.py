"""What PostgreSQL needs besides: a pool that lives through a restart of the server, writers in a row, errors in a line.

A transaction of `Database.write` reads and then decides, as if nobody else wrote: it holds one lock of the whole
database until it ends, as on SQLite. Work that only adds rows, and stands a conflict, goes `beside`: any number at
once. Reads see one state of the database (REPEATABLE READ).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

DRIVER: Final = "postgresql+psycopg"
OLDEST: Final = 14
"""The oldest major version that PostgreSQL's own people still repair."""
POOL: Final = 10
"""Connections that a process keeps at most for each of its two kinds of work; as many more for a moment."""
MAX_POOL: Final = 500
POOL_WAIT_S: Final = 20.0
"""Until a connection is free; then the caller is told that the database is busy."""
RECYCLE_S: Final = 1800
"""A connection that is older is made anew: servers and firewalls forget old ones."""
CONNECT_S: Final = 5
RECONNECT_S: Final = 8.0
"""How long a transaction that has not begun waits for a server that restarts; a clean restart takes two or three."""
RETRY_S: Final = 0.2
LOCK_WAIT_MS: Final = 20_000
"""As long as SQLite waits for another's write."""
WRITERS: Final = 0x5761_7973_6964_65
"""Number of the lock of those who write in a row; the name of the project in bytes."""
REPEATED: Final = ("40001", "40P01")
"""Two transactions stood in each other's way; the one that was ended may begin again."""
PER_CONNECTION: Final[Mapping[str, Any]] = {
    "connect_timeout": CONNECT_S,
    "application_name": "wayside",
    "client_encoding": "utf8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that vanished without a word is noticed within a minute. What the URL says goes before."""

_PREFIX: Final = re.compile(r"^.*?(?:FATAL|ERROR):\s*|^(?:connection failed: )?connection to server [^:]*? failed: ")
_LASTING: Final = (
    ("password authentication failed", "check name and password in the URL"),
    ("no password supplied", "give a password in the URL: postgresql://USER:PASSWORD@HOST/NAME"),
    ("does not exist", "create it, as its owner: createuser NAME; createdb --owner NAME --encoding UTF8 NAME"),
    ("no pg_hba.conf entry", "let this machine in by the server's pg_hba.conf, or use sslmode in the URL as it asks"),
    ("permission denied", "let this user create tables there: make it the owner of the database"),
    ("could not translate host name", "check the host in the URL"),
    ("failed to resolve host", "check the host in the URL"),
    ("does not support ssl", "leave sslmode out of the URL, or switch TLS on at the server"),
    ("invalid connection option", "leave it out of the URL"),
    ("invalid sslmode", "use disable, prefer, require or verify-full"),
)
_PASSING: Final = (
    ("refused", "start the server, or check host and port in the URL"),
    ("timeout", "check host, port and firewall"),
    ("no such file", "start the server, or check the folder of its socket in the URL"),
    ("too many clients", "raise max_connections of the server, or lower pool in the URL"),
    ("remaining connection slots", "raise max_connections of the server, or lower pool in the URL"),
    ("starting up", "wait until the server is ready"),
    ("shutting down", "wait until the server is back"),
)


def pool(url: URL) -> tuple[URL, int]:
    """Return `url` without ``pool``, and what that says. Raises ValueError."""
    told = url.query.get("pool", str(POOL))
    if not isinstance(told, str) or not told.isascii() or not told.isdigit() or not 1 <= int(told) <= MAX_POOL:
        raise ValueError(f"database URL: pool must be a number from 1 to {MAX_POOL}")
    return url.difference_update_query(["pool"]), int(told)


def options(url: URL, size: int) -> dict[str, Any]:
    """Return how the engines at `url` are made."""
    given = {name: value for name, value in PER_CONNECTION.items() if name not in url.query}
    return {
        "pool_pre_ping": True, "pool_size": size, "max_overflow": size, "pool_timeout": POOL_WAIT_S,
        "pool_recycle": RECYCLE_S, "connect_args": given,
    }  # fmt: skip


def prepare(engine: Engine) -> None:
    """Let the transactions of `engine` that are ``immediate`` follow each other."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("immediate", False):
            connection.exec_driver_sql(
                f"SELECT set_config('lock_timeout', '{LOCK_WAIT_MS}', true), pg_advisory_xact_lock({WRITERS})"
            )


def _told(error: BaseException) -> str:
    """Return the last thing that the server or its library said, in a line."""
    said = str(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    said = said.replace("connection is bad: ", "")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [line for line in lines if re.search(r"FATAL|ERROR|failed:", line)]
    line = (found or lines or [type(error).__name__])[0]
    return _PREFIX.sub("", line)[:300]


def where(url: URL) -> str:
    """Return `url` as people write it, without its password and options."""
    host = url.host or url.query.get("host", "")
    place = f"{url.username}@{host}" if url.username else str(host)
    return f"postgresql://{place}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def explain(url: URL, error: BaseException) -> str:
    """Return in a line why the database at `url` cannot be used and what to do. No password is in it."""
    told = _told(error)
    for part, advice in (*_LASTING, *_PASSING):
        if part in told.lower() or part in str(error).lower():
            return f"database {where(url)}: {told}; {advice}"
    return f"database {where(url)}: {told}; check the URL and the server's log"


def passes(error: BaseException) -> bool:
    """Whether `error`, met before anything was done, may be gone a moment later."""
    if isinstance(error, PoolTimeoutError) or not isinstance(error, OperationalError | InterfaceError):
        return False
    said = str(error).lower()
    return not any(part in said for part, _ in _LASTING)


def repeatable(error: BaseException) -> bool:
    """Whether the work that ended with `error`, before its commit, was undone and may be done again."""
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in REPEATED


def check(connection: Connection, url: URL) -> None:
    """Raise ValueError where the server is too old or the database cannot hold every text."""
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    if version < OLDEST:
        raise ValueError(f"database {where(url)}: PostgreSQL {version} is too old; use {OLDEST} or newer")
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise ValueError(
            f"database {where(url)}: its encoding is {encoding}; use one from createdb --encoding UTF8 NAME"
        )
