"""The servers of one centre: who is there, who does what for all of them, and what they tell each other."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import IDENTITY, Base
from protocols.messages import utc_now

SERVER_ID = 32
"""Length of a server's id, hexadecimal digits."""


class Server(Base):
    """One server that runs, or ran until lately."""

    __tablename__ = "server"

    id: Mapped[str] = mapped_column(String(SERVER_ID), primary_key=True)
    """Of its data folder: one that starts again there is the same server."""
    run: Mapped[str] = mapped_column(String(SERVER_ID))
    """Drawn at each start."""
    name: Mapped[str] = mapped_column(String(200))
    version: Mapped[str] = mapped_column(String(64))
    started: Mapped[datetime] = mapped_column(default=utc_now)
    seen: Mapped[datetime] = mapped_column(default=utc_now)
    """By its own clock, for people; nothing is decided by it."""
    beat: Mapped[int] = mapped_column(BigInteger, default=0)
    """Counts up while it lives. Others see that it stopped by their own monotonic clocks, not by anybody's time."""
    state: Mapped[str] = mapped_column(String(16), default="serving")
    """``serving`` or ``draining``."""


class Duty(Base):
    """Background work that one server does for all."""

    __tablename__ = "duty"

    name: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    holder: Mapped[str] = mapped_column(String(SERVER_ID), default="")
    """Id of the server; empty while nobody has it."""
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    """Grows with every change of hands: who writes with an older one is not the holder any more."""
    since: Mapped[datetime] = mapped_column(default=utc_now)


class ChangeCount(Base):
    """How often something of a kind changed, so that every server can tell its listeners."""

    __tablename__ = "change_count"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, default=0)


class TrustFile(Base):
    """A file of signed metadata, as every server hands it to nodes. No key is in it."""

    __tablename__ = "trust_file"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class LoginFailure(Base):
    """A wrong password that still counts, whichever server was asked."""

    __tablename__ = "login_failure"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[float]
    """Seconds by the database's clock."""
