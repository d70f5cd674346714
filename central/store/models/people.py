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


class Setting(Base):
    """A value that the centre keeps for itself, by key."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON, default=None)
    updated: Mapped[datetime] = mapped_column(default=utc_now)
