"""What was seen: frames, machines' proposals and people's labels."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from central.store.models.base import DIGEST, FRAME_ID, IDENTITY, Base, one_of, where
from protocols.messages import utc_now

FrameState = Literal["pending", "labelled", "skipped"]


class Frame(Base):
    """A selected frame that is durably stored."""

    __tablename__ = "frame"
    __table_args__ = (
        UniqueConstraint("node", "boot", "sequence"),
        Index("ix_frame_queue", "state", "value", "id"),
        Index("ix_frame_camera", "node", "camera", "id"),
        Index("ix_frame_timeline", "node", "camera", "captured_at"),
        Index("ix_frame_opinion", "opinion", "value", **where("opinion IS NOT NULL")),
        one_of("state", FrameState),
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
    """Whose proposals stand on the frame: address of a pack, or a teacher; None while they are the node's own."""
    redactions: Mapped[list[Any]] = mapped_column(default=list)
    complete_for: Mapped[list[str]] = mapped_column(default=list)
    """Label classes that a person looked through in full."""
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """``{name: "present" | "absent"}`` as a person said; what is not listed is unknown."""
    tag_proposals: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """``{name: score 0..1}`` as a machine said."""
    opinion: Mapped[str | None] = mapped_column(String(16), default=None)
    """Of the second opinion: ``wanted``, ``agreed``, ``disputed`` or ``settled``; None where none was asked for."""
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)
    """``[D]`` float32, little-endian, unit length; None where the pack has none."""
    labelled_at: Mapped[datetime | None] = mapped_column(default=None)
    labelled_by: Mapped[str | None] = mapped_column(String(IDENTITY), default=None)

    annotations: Mapped[list[Annotation]] = relationship(order_by="Annotation.id", cascade="all, delete-orphan")


class Annotation(Base):
    """A box on a frame: a proposal while unconfirmed, a label once a person confirmed it."""

    __tablename__ = "annotation"
    __table_args__ = (Index("ix_annotation_confirmed", "confirmed", "label"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), index=True)
    x1: Mapped[float]
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]
    label: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    """``node``, ``pack``, ``track``, ``person``, or a teacher's name."""
    score: Mapped[float | None] = mapped_column(default=None)
    """0..1; None from a person."""
    confidence: Mapped[float | None] = mapped_column(default=None)
    """0..1, of a proposal: how often one like it was right, as measured; None where too few were confirmed."""
    mask: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """Outline: rings of ``[x, y]`` in pixels of the frame, not closed."""
    origin: Mapped[str | None] = mapped_column(String(64), default=None)
    """Of a label: source of the proposal that it came from; None where a person drew it."""
    origin_score: Mapped[float | None] = mapped_column(default=None)
    moved: Mapped[bool | None] = mapped_column(default=None)
    """Of a label with an origin: whether a person changed its box."""
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
    """``labelled``, ``skipped``, ``cant_tell`` or ``adjudicated``."""
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    """``[{"box": [x1, y1, x2, y2], "label": str, "mask"?: rings}]``."""
    complete_for: Mapped[list[str]] = mapped_column(default=list)
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    seconds: Mapped[float | None] = mapped_column(default=None)
    """How long the person took; None where nobody measured."""
