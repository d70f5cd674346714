"""Who is there, how it fares, and what it is to select."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from central.store.models.base import DIGEST, FRAME_ID, IDENTITY, Base, one_of
from protocols.messages import utc_now

NodeState = Literal["online", "stopped", "offline"]
EventKind = Literal["status", "update", "alert"]


class Node(Base):
    """An edge computer, as it last reported itself."""

    __tablename__ = "node"
    __table_args__ = (one_of("state", NodeState),)

    name: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    site: Mapped[str] = mapped_column(String(IDENTITY), default="default", index=True)
    state: Mapped[str] = mapped_column(String(16), default="offline")
    since: Mapped[datetime] = mapped_column(default=utc_now)
    """When `state` became what it is, by the centre's clock."""
    boot: Mapped[str] = mapped_column(String(64), default="")
    version: Mapped[str] = mapped_column(Text, default="")
    backend: Mapped[str] = mapped_column(Text, default="")
    pack: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    release: Mapped[int | None] = mapped_column(default=None)
    update: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """The last `Update`: release, pack, step, progress, reason, time."""
    uptime_s: Mapped[float] = mapped_column(default=0.0)
    spool_frames: Mapped[int] = mapped_column(BigInteger, default=0)
    spool_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    spool_quota_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    evicted: Mapped[int] = mapped_column(BigInteger, default=0)
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    sent_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    temperature_c: Mapped[float | None] = mapped_column(default=None)
    crashes: Mapped[int | None] = mapped_column(default=None)
    """As its last health message counted them; None where it does not."""
    health_at: Mapped[datetime | None] = mapped_column(default=None)
    """When its last health message came, by the centre's clock."""
    first_seen: Mapped[datetime] = mapped_column(default=utc_now)
    last_seen: Mapped[datetime] = mapped_column(default=utc_now)
    """When anything came from it, by the centre's clock."""

    cameras: Mapped[list[Camera]] = relationship(order_by="Camera.name", cascade="all, delete-orphan")


class Camera(Base):
    """One video source of a node."""

    __tablename__ = "camera"

    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    source: Mapped[str] = mapped_column(Text, default="")
    """Never with credentials."""
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    tags: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """As its node's configuration says."""
    latitude: Mapped[float | None] = mapped_column(default=None)
    longitude: Mapped[float | None] = mapped_column(default=None)
    """Where it stands, degrees WGS 84, as its node's configuration says; both or neither."""
    health: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The last `CameraHealth` in full, defaults included: state, detail, fps, frames, selected, dropped,
    latency_p50_ms, latency_p95_ms, blur, uncertainty. Empty before the first one."""
    health_at: Mapped[datetime | None] = mapped_column(default=None)
    last_frame_id: Mapped[str | None] = mapped_column(String(FRAME_ID), default=None)
    last_frame_at: Mapped[datetime | None] = mapped_column(default=None)
    """Capture time of the newest stored frame."""


class NodeEvent(Base):
    """Something that happened on a node: a change of state, a step of an update, a camera-health alert."""

    __tablename__ = "node_event"
    __table_args__ = (Index("ix_node_event_node", "node", "at"), one_of("kind", EventKind))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"))
    camera: Mapped[str] = mapped_column(String(IDENTITY), default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)
    kind: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Policy(Base):
    """What one node is to select, as `protocols.messages.Policy`. The node ``*`` holds the default."""

    __tablename__ = "policy"

    node: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    policy: Mapped[str] = mapped_column(String(64), default="budget")
    frames_per_hour: Mapped[float] = mapped_column(default=60.0)
    audit_share: Mapped[float] = mapped_column(default=0.1)
    min_gap_s: Mapped[float] = mapped_column(default=1.0)
    jpeg_quality: Mapped[int] = mapped_column(default=90)
    frames_per_day: Mapped[float | None] = mapped_column(default=None)
    bytes_per_hour: Mapped[int | None] = mapped_column(BigInteger, default=None)
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger, default=None)
    updated: Mapped[datetime] = mapped_column(default=utc_now)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
