"""How the scores of each camera went, frame by frame or not: what health messages said, a few a slot."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import IDENTITY, Base


class CameraScores(Base):
    """What a camera's health messages said within one slot of `central.store.trend.SLOT`: means over all assessed
    frames, of which the stored ones are a choice. A sum over no message is 0."""

    __tablename__ = "camera_scores"
    __table_args__ = (
        ForeignKeyConstraint(["node", "camera"], ["camera.node", "camera.name"], ondelete="CASCADE"),
        Index("ix_camera_scores_at", "at"),
    )

    node: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    camera: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    """Begin of the slot, by the centre's clock."""
    blur_sum: Mapped[float] = mapped_column(default=0.0)
    blur_count: Mapped[int] = mapped_column(default=0)
    uncertainty_sum: Mapped[float] = mapped_column(default=0.0)
    uncertainty_count: Mapped[int] = mapped_column(default=0)
