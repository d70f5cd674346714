"""Who is there.

identity    the id of a data folder, locked by the one server that runs on it
Members     this server's row, kept alive by `beat`, and what it makes of the others'
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from central.store.models import Server
from edge import __version__
from protocols.messages import utc_now

FILE: Final = "server"
"""In the data folder: the id of the server that runs there."""
TAKE_S: Final = 10.0
"""Seconds of a beat that stands still before others take a server for dead."""
FORGET_S: Final = 3600.0
"""Seconds after which nobody needs to see the row of a dead server any more."""
_ID_BYTES: Final = 16

State = Literal["serving", "draining", "gone"]


class ServerError(Exception):
    """A server that cannot run here. The text says why, and what to do."""


@dataclass
class Identity:
    """A server: `id` of its data folder, `run` of this start, `name` for people. `handle` holds the lock."""

    id: str
    run: str
    name: str
    handle: int = -1

    def close(self) -> None:
        """Let another server run on the data folder."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)

    def renew(self) -> None:
        """Be another server from now on: the id is somebody else's, too."""
        self.id = secrets.token_hex(_ID_BYTES)
        if self.handle >= 0:
            _write(self.handle, self.id)


def _write(handle: int, known: str) -> None:
    """Note the id `known`, and in which file: a copy of the folder has another one, and is another server."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{known} {os.fstat(handle).st_ino}".encode(), 0)
    os.fsync(handle)


def identity(data: Path, name: str = "") -> Identity:
    """Return who a server on the data folder `data` is, and lock the folder for it. Raises ServerError, OSError."""
    handle = os.open(data / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ServerError(f"{data}: another server runs on this data folder; give each one its own --data") from None
    known, _, file = os.pread(handle, 8 * _ID_BYTES, 0).decode(errors="replace").partition(" ")
    if len(known) != 2 * _ID_BYTES or not known.isalnum() or file != str(os.fstat(handle).st_ino):
        known = secrets.token_hex(_ID_BYTES)
        _write(handle, known)
    return Identity(known, secrets.token_hex(_ID_BYTES), name or socket.gethostname(), handle)


@dataclass(frozen=True)
class Seen:
    """What one server makes of another: its row, and for how many seconds its beat has stood still."""

    row: Server
    silent_s: float

    def state(self, take_s: float = TAKE_S) -> State:
        """Return whether it serves, ends, or is gone."""
        if self.silent_s >= take_s:
            return "gone"
        return "draining" if self.row.state == "draining" else "serving"


class Members:
    """This server among the others. `monotonic` returns seconds, never decreasing."""

    def __init__(self, me: Identity, take_s: float = TAKE_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.me, self.take_s, self._monotonic = me, take_s, monotonic
        self._watched: dict[str, tuple[str, int, float]] = {}
        """By id: run and beat as last seen, and when that was new."""

    def join(self, session: Session) -> None:
        """Enter this server, in the open write transaction."""
        now = utc_now()
        session.merge(
            Server(
                id=self.me.id, run=self.me.run, name=self.me.name, version=__version__, started=now, seen=now, beat=0,
                state="serving",
            )
        )  # fmt: skip
        session.flush()

    def beat(self, session: Session, state: State = "serving") -> bool:
        """Show that this server lives, in the open write transaction; False where another run took its place."""
        mine = (Server.id == self.me.id, Server.run == self.me.run)
        query = update(Server).where(*mine).values(beat=Server.beat + 1, seen=utc_now(), state=state)
        done = session.execute(query.returning(Server.beat).execution_options(synchronize_session=False))
        return done.first() is not None

    def look(self, session: Session) -> dict[str, Seen]:
        """Return every server that has a row, by id, as this one sees it now."""
        query = select(Server).order_by(Server.started, Server.id).execution_options(populate_existing=True)
        rows = list(session.scalars(query))
        now, seen = self._monotonic(), {}
        for row in rows:
            run, beat, since = self._watched.get(row.id, ("", -1, now))
            if (run, beat) != (row.run, row.beat):
                run, beat, since = row.run, row.beat, now
            self._watched[row.id] = (run, beat, since)
            seen[row.id] = Seen(row, 0.0 if row.id == self.me.id else now - since)
        for gone in set(self._watched) - set(seen):
            del self._watched[gone]
        return seen

    def forget(self, session: Session, seen: Collection[Seen], holders: Collection[str]) -> None:
        """Remove the rows of servers that died long ago and hold nothing, in the open write transaction."""
        for each in seen:
            if each.silent_s >= FORGET_S and each.row.id not in holders:
                same = (Server.id == each.row.id, Server.run == each.row.run, Server.beat == each.row.beat)
                session.execute(delete(Server).where(*same))

    def leave(self, session: Session) -> None:
        """Take this server's row out, in the open write transaction."""
        session.execute(delete(Server).where(Server.id == self.me.id, Server.run == self.me.run))
