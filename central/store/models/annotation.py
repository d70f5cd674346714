"""Working together: who looks at what, what is half done, second opinions, and what proposals were worth."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import IDENTITY, Base, one_of
from protocols.messages import utc_now

Outcome = Literal["kept", "moved", "relabelled", "deleted"]
PairAnswer = Literal["left", "right", "cant_tell"]


class Lease(Base):
    """A frame that somebody looks at. It ends by itself; nobody has to clear it away."""

    __tablename__ = "lease"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    by: Mapped[str] = mapped_column(String(IDENTITY), index=True)
    until: Mapped[datetime] = mapped_column(index=True)


class Draft(Base):
    """What somebody has on the screen and did not save. Nothing in it is checked against the project's labels."""

    __tablename__ = "draft"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    author: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True, index=True)
    revision: Mapped[int]
    """Of the frame, when the draft was begun."""
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)
    complete_for: Mapped[list[str]] = mapped_column(default=list)
    at: Mapped[datetime] = mapped_column(default=utc_now)


class Flag(Base):
    """A frame that somebody wants others to look at."""

    __tablename__ = "flag"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    by: Mapped[str] = mapped_column(String(IDENTITY))
    note: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)


class Opinion(Base):
    """A second person's answer about a frame, given without having seen the first one."""

    __tablename__ = "opinion"

    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), primary_key=True)
    author: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    revision: Mapped[int]
    """Of the first answer, a row of `LabelRevision`."""
    first: Mapped[str] = mapped_column(String(IDENTITY))
    """Who gave the first answer."""
    boxes: Mapped[list[Any]] = mapped_column(default=list)
    complete_for: Mapped[list[str]] = mapped_column(default=list)
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seconds: Mapped[float | None] = mapped_column(default=None)
    at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class Verdict(Base):
    """What a person made of one proposal of a machine. Only ever added to."""

    __tablename__ = "verdict"
    __table_args__ = (Index("ix_verdict_source", "source", "label"), one_of("outcome", Outcome))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), index=True)
    revision: Mapped[int]
    """Of the frame, by the answer that judged it."""
    source: Mapped[str] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(String(64))
    """As it was proposed."""
    score: Mapped[float | None] = mapped_column(default=None)
    outcome: Mapped[str] = mapped_column(String(16))


class BlurPair(Base):
    """Two objects of which somebody may say which is sharper."""

    __tablename__ = "blur_pair"
    __table_args__ = (Index("ix_blur_pair_open", "answered", "value", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    left: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), index=True)
    left_box: Mapped[list[Any]]
    """``[x1, y1, x2, y2]`` in pixels of the frame."""
    right: Mapped[str] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"), index=True)
    right_box: Mapped[list[Any]]
    label: Mapped[str] = mapped_column(String(64))
    value: Mapped[float]
    """What an answer is expected to be worth, 0..1; the highest is asked first."""
    reason: Mapped[str] = mapped_column(Text, default="")
    answered: Mapped[int] = mapped_column(default=0)
    """How many people answered."""
    created: Mapped[datetime] = mapped_column(default=utc_now)


class PairLabel(Base):
    """What one person said of a pair: which one is sharper."""

    __tablename__ = "pair_label"
    __table_args__ = (one_of("answer", PairAnswer),)

    pair: Mapped[int] = mapped_column(ForeignKey("blur_pair.id", ondelete="CASCADE"), primary_key=True)
    author: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    answer: Mapped[str] = mapped_column(String(16))
    seconds: Mapped[float | None] = mapped_column(default=None)
    at: Mapped[datetime] = mapped_column(default=utc_now)
