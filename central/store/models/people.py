"""Who may log in, and what the centre keeps for itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import DIGEST, IDENTITY, Base, one_of
from protocols.messages import utc_now

Role = Literal["viewer", "annotator", "engineer", "admin"]


class User(Base):
    """A person, or a program that logs in like one."""

    __tablename__ = "user"
    __table_args__ = (one_of("role", Role),)

    name: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    password: Mapped[str] = mapped_column(Text)
    """Argon2id, encoded with its parameters and salt."""
    role: Mapped[str] = mapped_column(String(16), default="annotator")
    disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(default=utc_now)


class Session(Base):
    """A login. Only the hash of its token is kept, so that a stolen database opens nothing."""

    __tablename__ = "session"

    token_sha256: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("user.name", ondelete="CASCADE"), index=True)
    created: Mapped[datetime] = mapped_column(default=utc_now)
    expires: Mapped[datetime] = mapped_column(index=True)
    last_seen: Mapped[datetime] = mapped_column(default=utc_now)


class SiteRole(Base):
    """What a user may do at one site, where that differs from what they may do everywhere."""

    __tablename__ = "site_role"
    __table_args__ = (one_of("role", Role),)

    user: Mapped[str] = mapped_column(ForeignKey("user.name", ondelete="CASCADE"), primary_key=True)
    site: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))


class ApiToken(Base):
    """A program's way in: acts as its user, with that user's roles at most. Only the hash of it is kept."""

    __tablename__ = "api_token"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token_sha256: Mapped[str] = mapped_column(String(DIGEST), unique=True)
    user: Mapped[str] = mapped_column(ForeignKey("user.name", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(IDENTITY))
    """What it is for."""
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(default=utc_now)
    expires: Mapped[datetime]


class AuditEntry(Base):
    """Somebody changed something, or tried to. Nothing of it is ever changed; labels have a history of their own."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="", index=True)
    """Empty where nobody was logged in."""
    action: Mapped[str] = mapped_column(String(IDENTITY))
    """Name of the route."""
    target: Mapped[str] = mapped_column(Text)
    """Path of the request."""
    status: Mapped[int]
    address: Mapped[str] = mapped_column(String(64), default="")


class Webhook(Base):
    """A place that is told of changes."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    url: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(JSON, default=list)
    secret: Mapped[str] = mapped_column(Text)
    """Signs what is sent, so it has to be kept as it is."""
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)
    told_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[str] = mapped_column(Text, default="")
    """Of the last call, in words."""


class Setting(Base):
    """A value that the centre keeps for itself, by key."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON, default=None)
    updated: Mapped[datetime] = mapped_column(default=utc_now)
