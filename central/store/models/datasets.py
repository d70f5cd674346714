"""Data sets: names of snapshots, versions of the project's profile, and what searching needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import DIGEST, IDENTITY, Base, where
from central.store.models.frames import Frame
from protocols.messages import utc_now

Index("ix_frame_received", Frame.received_at)
Index("ix_frame_labelled", Frame.labelled_at, Frame.state, Frame.node, Frame.camera, **where("labelled_at IS NOT NULL"))
Index("ix_frame_name", Frame.name)


class SnapshotNote(Base):
    """Who took a snapshot, and what for. A snapshot itself says only what is in it."""

    __tablename__ = "snapshot_note"

    snapshot: Mapped[str] = mapped_column(ForeignKey("snapshot.address"), primary_key=True)
    name: Mapped[str] = mapped_column(String(IDENTITY), default="")
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)


class ProfileVersion(Base):
    """What the project labelled from then on. Only ever added to."""

    __tablename__ = "profile_version"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(default=utc_now)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    profile: Mapped[dict[str, Any]] = mapped_column(default=dict)
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What happened to labels and tags: ``renamed``, ``removed``, and how many frames that touched."""
    note: Mapped[str] = mapped_column(Text, default="")


class Errand(Base):
    """A queue that was lent to another tool, to be answered there."""

    __tablename__ = "errand"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    tool: Mapped[str] = mapped_column(String(IDENTITY))
    url: Mapped[str] = mapped_column(Text)
    project: Mapped[str] = mapped_column(String(DIGEST))
    """What the tool calls it."""
    made: Mapped[datetime] = mapped_column(default=utc_now)
    pulled: Mapped[datetime | None] = mapped_column(default=None)
    frames: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """``{frame id: revision}`` as it was lent."""
