"""What the queue asks about frames, what was answered to single questions, and which machine looked at what."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import IDENTITY, Base, one_of
from protocols.messages import utc_now

QuestionKind = Literal["boxes", "box", "missing", "tag", "pair", "click"]


class FrameQuestion(Base):
    """The question about a frame that waits whose answer is worth most per second of a person's time."""

    __tablename__ = "frame_question"
    __table_args__ = (one_of("kind", QuestionKind),)

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    labels: Mapped[list[str]] = mapped_column(default=list)
    """Of ``missing``: those to look for; of ``click``: the one to click."""
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
    """``{labels, tag, boxes}`` as it was asked; what does not apply is left out. With a click its ``point``
    ``[x, y]``."""
    answer: Mapped[str] = mapped_column(String(16))
    """``yes``, ``no``, ``nothing``, ``something``, ``present``, ``absent``, ``point``, ``none`` or
    ``cant_tell``."""
    seconds: Mapped[float | None] = mapped_column(default=None)
    author: Mapped[str] = mapped_column(String(IDENTITY))
    at: Mapped[datetime] = mapped_column(default=utc_now)


class FrameLook(Base):
    """A source of proposals has looked at a frame; it does so again only where its version is another one."""

    __tablename__ = "frame_look"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(128), default="")
    """Of what it went by: the labelled frame that was followed, or how much it had to compare with."""
    at: Mapped[datetime] = mapped_column(default=utc_now)


class TagProposal(Base):
    """What one machine says of one tag of a frame; `Frame.tag_proposals` has what all of them say together."""

    __tablename__ = "tag_proposal"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    score: Mapped[float]
    """0..1, that the tag is present, as the machine has it."""
    confidence: Mapped[float | None] = mapped_column(default=None)
    """0..1, as measured from what people answered; None where too few did."""
    at: Mapped[datetime] = mapped_column(default=utc_now)
