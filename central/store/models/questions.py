"""What the queue asks about frames, and what was answered to single questions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import IDENTITY, Base, one_of
from protocols.messages import utc_now

QuestionKind = Literal["boxes", "box", "missing", "tag", "pair"]


class FrameQuestion(Base):
    """The question about a frame that waits whose answer is worth most per second of a person's time."""

    __tablename__ = "frame_question"
    __table_args__ = (one_of("kind", QuestionKind),)

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    labels: Mapped[list[str]] = mapped_column(default=list)
    """Of ``missing``: those to look for."""
    tag: Mapped[str | None] = mapped_column(String(64), default=None)
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    """``[{"box": [x1, y1, x2, y2], "label": str}]``: the one asked about, or those that ``missing`` takes for right."""
    pair: Mapped[int | None] = mapped_column(default=None)
    """Of ``pair``: which of `BlurPair`."""
    seconds: Mapped[float]
    """That an answer is expected to take."""
    gain: Mapped[float]
    """Mistakes that an answer is expected to mend."""
    reason: Mapped[str] = mapped_column(Text, default="")
    strategy: Mapped[str] = mapped_column(String(64), default="")
    """By which the frame got its place in the queue; empty where it has the one its node gave it."""
    at: Mapped[datetime] = mapped_column(default=utc_now)


class QuestionAnswer(Base):
    """An answer to a single question about a frame. Only ever added to."""

    __tablename__ = "question_answer"
    __table_args__ = (one_of("kind", QuestionKind), Index("ix_question_answer_frame", "frame", "revision"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"))
    revision: Mapped[int]
    """Of the frame, after it."""
    kind: Mapped[str] = mapped_column(String(16), index=True)
    question: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """``{labels, tag, boxes}`` as it was asked; what does not apply is left out."""
    answer: Mapped[str] = mapped_column(String(16))
    """``yes``, ``no``, ``nothing``, ``something``, ``present``, ``absent`` or ``cant_tell``."""
    seconds: Mapped[float | None] = mapped_column(default=None)
    author: Mapped[str] = mapped_column(String(IDENTITY))
    at: Mapped[datetime] = mapped_column(default=utc_now)
