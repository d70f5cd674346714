"""What was trained on, what came of it, and the work behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import DIGEST, FRAME_ID, IDENTITY, Base, one_of
from protocols.messages import utc_now

RoundState = Literal["queued", "training", "evaluating", "exporting", "done", "failed"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


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
    __table_args__ = (one_of("state", RoundState),)

    id: Mapped[str] = mapped_column(String(FRAME_ID), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)
    """0..1 of the whole round."""
    detail: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)
    started: Mapped[datetime | None] = mapped_column(default=None)
    finished: Mapped[datetime | None] = mapped_column(default=None)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Why it started by itself; empty where somebody asked for it."""
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
    options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What it was asked for: epochs, strategy, memory_frames, again. A resumed round is run with the same."""
    starts: Mapped[int] = mapped_column(default=1, server_default="1")
    """How often it was begun: more than once where it was killed."""
    offered: Mapped[bool | None] = mapped_column(default=None)
    """Whether its pack may be released without an override; None until it was judged."""
    verdict: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What came of it, in one sentence."""
    gates: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """``[{"gate", "outcome", "value", "limit", "unit", "reason"}]``, as `central.learn.gates` said."""


class Job(Base):
    """Work in the background: a function of ours, run elsewhere."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_kind_created", "kind", "created"), one_of("state", JobState))

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
    kind: Mapped[str] = mapped_column(String(16), default="chore", server_default="chore")
    """What it is for, by which it is limited (`central.jobs.LIMITS`)."""
    title: Mapped[str] = mapped_column(Text, default="", server_default="")
    by: Mapped[str] = mapped_column(String(IDENTITY), default="", server_default="")
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    """The highest is begun first; of equals the oldest."""
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often it was begun."""
    max_attempts: Mapped[int] = mapped_column(default=1, server_default="1")
    """How often it may be: more than once only where doing it twice does no harm."""
    not_before: Mapped[datetime | None] = mapped_column(default=None)
    """Until when it waits after an attempt that failed."""
    needs: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """Names of arguments that are written nowhere: the server gives them when it begins."""
    cancel: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Somebody wants it stopped."""
    place: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Address of the Ray cluster that it runs on; empty: a process of the server's machine."""
    server: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """Which server begins and follows it."""
    beat: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counts up while that server looks after it."""
    log: Mapped[str] = mapped_column(Text, default="", server_default="", deferred=True)
    """The end of what it printed."""
