"""The tables of the centre.

    Node 1-n Camera            who is there, and how it fares
    Frame 1-n Annotation       what was seen: machines' proposals (unconfirmed) and labels (confirmed)
          1-n LabelRevision    every answer that a person gave, in order; nothing of it is overwritten
    Pack 1-n Release 1-n ReleaseNode   models, their offers to the nodes, and how far each node is
    Snapshot, Round            what was trained on, and what came of it
    Job                        work in the background
    User 1-n Session           who may log in
    Policy, Setting, NodeEvent

Rules
- Times are aware UTC, also on SQLite (`UtcDateTime`). Boxes are xyxy in pixels of the source frame.
- Only types that SQLite and PostgreSQL share. Enumerations are text with a CHECK.
- JSON columns hold the wire form (`msgspec.to_builtins`) of the struct that they are named after.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from protocols.messages import utc_now

FrameState = Literal["pending", "labelled", "skipped"]
NodeState = Literal["online", "stopped", "offline"]
RoundState = Literal["queued", "training", "evaluating", "exporting", "done", "failed"]
Role = Literal["viewer", "annotator", "engineer", "admin"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
EventKind = Literal["status", "update", "alert"]

IDENTITY = 64
DIGEST = 64
FRAME_ID = 36
"""Lengths of text columns, characters."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite forgets the zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: nobody could tell later what it meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored; use an aware UTC datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables. Constraint names are fixed so that migrations can name them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        list[str]: JSON,
    }


def _one_of(column: str, values: Any) -> CheckConstraint:
    names = ", ".join(f"'{value}'" for value in get_args(values))
    return CheckConstraint(f"{column} IN ({names})", name=column)


class Node(Base):
    """An edge computer, as it last reported itself."""

    __tablename__ = "node"
    __table_args__ = (_one_of("state", NodeState),)

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
    health: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The last `CameraHealth` in full, defaults included: state, detail, fps, frames, selected, dropped,
    latency_p50_ms, latency_p95_ms, blur, uncertainty. Empty before the first one."""
    health_at: Mapped[datetime | None] = mapped_column(default=None)
    last_frame_id: Mapped[str | None] = mapped_column(String(FRAME_ID), default=None)
    last_frame_at: Mapped[datetime | None] = mapped_column(default=None)
    """Capture time of the newest stored frame."""


class Frame(Base):
    """A selected frame that is durably stored."""

    __tablename__ = "frame"
    __table_args__ = (
        UniqueConstraint("node", "boot", "sequence"),
        Index("ix_frame_queue", "state", "value", "id"),
        Index("ix_frame_camera", "node", "camera", "id"),
        _one_of("state", FrameState),
    )

    id: Mapped[str] = mapped_column(String(FRAME_ID), primary_key=True)
    """UUIDv7: sorts by capture time."""
    node: Mapped[str] = mapped_column(ForeignKey("node.name"))
    site: Mapped[str] = mapped_column(String(IDENTITY), default="default", index=True)
    camera: Mapped[str] = mapped_column(String(IDENTITY))
    name: Mapped[str] = mapped_column(Text, default="")
    """File name, where the camera is a folder of images."""
    index: Mapped[int] = mapped_column(BigInteger, default=0)
    """Place of the frame in its source, from 0."""
    boot: Mapped[str] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(BigInteger)
    captured_at: Mapped[datetime] = mapped_column(index=True)
    """By the node's clock."""
    received_at: Mapped[datetime] = mapped_column(default=utc_now)
    """By the centre's clock."""
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of the JPEG."""
    sha256: Mapped[str] = mapped_column(String(DIGEST), index=True)
    blob: Mapped[str] = mapped_column(String(200))
    """Key in the blob store."""
    pack: Mapped[str | None] = mapped_column(String(DIGEST), default=None, index=True)
    value: Mapped[float] = mapped_column(default=0.0)
    """Priority for review, 0..1; the highest is asked first."""
    state: Mapped[str] = mapped_column(String(16), default="pending")
    revision: Mapped[int] = mapped_column(default=0)
    """Grows by one with every answer; an answer to an older one is a conflict."""
    assessment: Mapped[dict[str, Any]] = mapped_column(default=dict)
    selection: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """keep, probability, reason, policy."""
    detections: Mapped[list[Any]] = mapped_column(default=list)
    """What the node's pack saw: box, label, score, spread, blur."""
    proposed_by: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    """Address of the pack whose proposals stand on the frame; None while they are the node's own."""
    redactions: Mapped[list[Any]] = mapped_column(default=list)
    complete_for: Mapped[list[str]] = mapped_column(default=list)
    """Label classes that a person looked through in full."""
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)
    """``[D]`` float32, little-endian, unit length; None where the pack has none."""
    labelled_at: Mapped[datetime | None] = mapped_column(default=None)
    labelled_by: Mapped[str | None] = mapped_column(String(IDENTITY), default=None)

    annotations: Mapped[list[Annotation]] = relationship(order_by="Annotation.id", cascade="all, delete-orphan")


class Annotation(Base):
    """A box on a frame: a proposal while unconfirmed, a label once a person confirmed it."""

    __tablename__ = "annotation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), index=True)
    x1: Mapped[float]
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]
    label: Mapped[str] = mapped_column(String(64), index=True)
    source: Mapped[str] = mapped_column(String(64))
    """``node``, ``pack``, ``person``, or a teacher's name."""
    score: Mapped[float | None] = mapped_column(default=None)
    """0..1; None from a person."""
    confirmed: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(default=0)
    """Of the frame, when this box was last given."""
    author: Mapped[str | None] = mapped_column(String(IDENTITY), default=None)
    created: Mapped[datetime] = mapped_column(default=utc_now)


class LabelRevision(Base):
    """One answer about a frame, as it was given. Only ever added to."""

    __tablename__ = "label_revision"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    author: Mapped[str] = mapped_column(String(IDENTITY))
    at: Mapped[datetime] = mapped_column(default=utc_now)
    state: Mapped[str] = mapped_column(String(16), default="labelled")
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    """``[{"box": [x1, y1, x2, y2], "label": str}]``."""
    complete_for: Mapped[list[str]] = mapped_column(default=list)


class NodeEvent(Base):
    """Something that happened on a node: a change of state, a step of an update, a camera-health alert."""

    __tablename__ = "node_event"
    __table_args__ = (Index("ix_node_event_node", "node", "at"), _one_of("kind", EventKind))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"))
    camera: Mapped[str] = mapped_column(String(IDENTITY), default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)
    kind: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Pack(Base):
    """A registered pack. Its files are in ``packs/<address>/`` of the data folder."""

    __tablename__ = "pack"

    address: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    name: Mapped[str] = mapped_column(Text, default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of the archive, as nodes fetch it."""
    labels: Mapped[list[str]] = mapped_column(default=list)
    created: Mapped[str] = mapped_column(String(64), default="")
    """As the manifest says."""
    registered: Mapped[datetime] = mapped_column(default=utc_now)
    parent: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    snapshot: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Release(Base):
    """A pack that was offered to the nodes."""

    __tablename__ = "release"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pack: Mapped[str] = mapped_column(ForeignKey("pack.address"))
    name: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    notes: Mapped[str] = mapped_column(Text, default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    finished: Mapped[datetime | None] = mapped_column(default=None)
    """When the last node that was online ran it."""

    nodes: Mapped[list[ReleaseNode]] = relationship(order_by="ReleaseNode.node", cascade="all, delete-orphan")


class ReleaseNode(Base):
    """How far one node is with one release."""

    __tablename__ = "release_node"

    release: Mapped[int] = mapped_column(ForeignKey("release.number", ondelete="CASCADE"), primary_key=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(String(16), default="announced")
    """A `protocols.messages.Step`."""
    progress: Mapped[float] = mapped_column(default=0.0)
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)


class Snapshot(Base):
    """What a round learned from: frames with the revision of their labels. Known by the hash of `items`."""

    __tablename__ = "snapshot"

    address: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    created: Mapped[datetime] = mapped_column(default=utc_now)
    frames: Mapped[int] = mapped_column(default=0)
    labels: Mapped[int] = mapped_column(default=0)
    items: Mapped[list[Any]] = mapped_column(default=list)
    """``[{"frame": id, "revision": int, "split": "train" | "val"}]``, in order of id."""


class Round(Base):
    """One cycle: snapshot, training, evaluation, export."""

    __tablename__ = "round"
    __table_args__ = (_one_of("state", RoundState),)

    id: Mapped[str] = mapped_column(String(FRAME_ID), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)
    """0..1 of the whole round."""
    detail: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)
    started: Mapped[datetime | None] = mapped_column(default=None)
    finished: Mapped[datetime | None] = mapped_column(default=None)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    epochs: Mapped[int | None] = mapped_column(default=None)
    frames: Mapped[int] = mapped_column(default=0)
    labels: Mapped[int] = mapped_column(default=0)
    snapshot: Mapped[str | None] = mapped_column(ForeignKey("snapshot.address"), default=None)
    parent: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    """Address of the pack that it started from."""
    pack: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    """Address of the pack that came of it."""
    ap_before: Mapped[float | None] = mapped_column(default=None)
    ap_after: Mapped[float | None] = mapped_column(default=None)
    ap50_before: Mapped[float | None] = mapped_column(default=None)
    ap50_after: Mapped[float | None] = mapped_column(default=None)
    eta_s: Mapped[float | None] = mapped_column(default=None)


class Job(Base):
    """Work in the background: a function of ours, run elsewhere."""

    __tablename__ = "job"
    __table_args__ = (_one_of("state", JobState),)

    id: Mapped[str] = mapped_column(String(FRAME_ID), primary_key=True)
    function: Mapped[str] = mapped_column(Text)
    """``package.module:name``."""
    args: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    progress: Mapped[float] = mapped_column(default=0.0)
    detail: Mapped[str] = mapped_column(Text, default="")
    """What it does now; where it failed, why."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    created: Mapped[datetime] = mapped_column(default=utc_now)
    started: Mapped[datetime | None] = mapped_column(default=None)
    finished: Mapped[datetime | None] = mapped_column(default=None)


class User(Base):
    """A person, or a program that logs in like one."""

    __tablename__ = "user"
    __table_args__ = (_one_of("role", Role),)

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
    updated: Mapped[datetime] = mapped_column(default=utc_now)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")


class Setting(Base):
    """A value that the centre keeps for itself, by key."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON, default=None)
    updated: Mapped[datetime] = mapped_column(default=utc_now)
