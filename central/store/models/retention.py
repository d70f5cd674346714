"""What is kept for how long, what is kept whatever the rules say, and what was deleted: a chain that only grows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import DIGEST, FRAME_ID, IDENTITY, Base, one_of
from protocols.messages import utc_now

DeletedKind = Literal["frame", "labels", "audit"]


class RetentionRule(Base):
    """How long one site keeps what; the site ``*`` is for those that have no rule of their own. None: for ever."""

    __tablename__ = "retention_rule"

    site: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    unlabelled_days: Mapped[int | None] = mapped_column(default=None)
    """Of frames that nobody answered, since they were received."""
    labelled_days: Mapped[int | None] = mapped_column(default=None)
    """Of labelled frames, since the last answer."""
    skipped_days: Mapped[int | None] = mapped_column(default=None)
    labels_days: Mapped[int | None] = mapped_column(default=None)
    """Of answers about a frame, since the last one; the frame stays."""
    audit_days: Mapped[int | None] = mapped_column(default=None)
    """Of entries of the audit log; only of the site ``*``."""
    size_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    """Of all images of the site."""
    updated: Mapped[datetime] = mapped_column(default=utc_now)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")


class Hold(Base):
    """A frame, or all frames of a camera, that no rule deletes until this row is gone."""

    __tablename__ = "hold"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame: Mapped[str | None] = mapped_column(String(FRAME_ID), default=None, index=True)
    node: Mapped[str | None] = mapped_column(String(IDENTITY), default=None)
    camera: Mapped[str | None] = mapped_column(String(IDENTITY), default=None)
    """With `node`, in place of `frame`."""
    reason: Mapped[str] = mapped_column(Text, default="")
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)


class DeletionRun(Base):
    """One run of the rules that deleted something: a link of the chain once it is sealed. Never changed after that."""

    __tablename__ = "deletion_run"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, without gaps."""
    started: Mapped[datetime] = mapped_column(default=utc_now)
    finished: Mapped[datetime | None] = mapped_column(default=None)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """By site, as they were."""
    kept: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """``{reason: frames}`` that the rules would have deleted."""
    items: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    items_sha256: Mapped[str] = mapped_column(String(DIGEST), default="")
    previous: Mapped[str] = mapped_column(String(DIGEST), default="")
    """Hash of the run before; 64 zeros of the first one."""
    hash: Mapped[str] = mapped_column(String(DIGEST), default="")
    """Empty while it is not sealed."""
    key: Mapped[str] = mapped_column(String(DIGEST), default="")
    """Public Ed25519 key, hexadecimal."""
    signature: Mapped[str] = mapped_column(String(2 * DIGEST), default="")


class Deletion(Base):
    """What was deleted, and never comes back: neither from a node that sends it again, nor from a backup."""

    __tablename__ = "deletion"
    __table_args__ = (
        Index("ix_deletion_item", "item"),
        Index("ix_deletion_erased", "erased"),
        one_of("kind", DeletedKind),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[int] = mapped_column(ForeignKey("deletion_run.number"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    item: Mapped[str] = mapped_column(String(IDENTITY))
    """Id of the frame, or of the entry."""
    node: Mapped[str] = mapped_column(String(IDENTITY), default="")
    camera: Mapped[str] = mapped_column(String(IDENTITY), default="")
    site: Mapped[str] = mapped_column(String(IDENTITY), default="")
    sha256: Mapped[str] = mapped_column(String(DIGEST))
    """Of the image; of labels and entries, of their content as canonical JSON."""
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    blob: Mapped[str] = mapped_column(String(200), default="")
    """Key that the image had."""
    why: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)
    erased: Mapped[bool] = mapped_column(default=False)
    """Whether the image's bytes are gone, too."""
