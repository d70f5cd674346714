"""How cameras change: each look at one, and the share of frames that one was given because of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import DIGEST, IDENTITY, Base, one_of
from protocols.messages import utc_now

DriftVerdict = Literal["not_enough", "steady", "drift"]


class DriftLook(Base):
    """One look at one camera: what arrives now against what it is compared with. Only ever added to."""

    __tablename__ = "drift_look"
    __table_args__ = (
        Index("ix_drift_look_camera", "node", "camera", "at"),
        Index("ix_drift_look_at", "at"),
        one_of("verdict", DriftVerdict),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"))
    camera: Mapped[str] = mapped_column(String(IDENTITY))
    at: Mapped[datetime] = mapped_column(default=utc_now)
    pack: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    """That the node ran on all frames compared: what two packs say cannot be compared."""
    verdict: Mapped[str] = mapped_column(String(16), default="not_enough")
    reason: Mapped[str] = mapped_column(Text, default="")
    basis: Mapped[str] = mapped_column(String(16), default="")
    """``audit``: frames of the uniform audit; ``all``: every kept frame. Both weigh one over their probability."""
    reference: Mapped[str] = mapped_column(String(16), default="")
    """``training``: what the pack was trained on of this camera; ``first``: the camera's first days with this pack."""
    reference_from: Mapped[datetime | None] = mapped_column(default=None)
    reference_to: Mapped[datetime | None] = mapped_column(default=None)
    frames_before: Mapped[int] = mapped_column(default=0)
    frames_now: Mapped[int] = mapped_column(default=0)
    p: Mapped[float | None] = mapped_column(default=None)
    """Probability of so large a change by chance, corrected for the number of measures."""
    measures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """``{name: {"value", "usual", "p", "before", "after"}}``."""


class CameraBoost(Base):
    """A larger share of its node's frames for one camera, for a time."""

    __tablename__ = "camera_boost"

    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"), primary_key=True)
    camera: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    factor: Mapped[float] = mapped_column(default=1.0)
    """Of its quotas; the other cameras of the node give up what that takes."""
    since: Mapped[datetime] = mapped_column(default=utc_now)
    until: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text, default="")
