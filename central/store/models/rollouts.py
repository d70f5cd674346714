"""A release's way through the fleet, in waves, and everything that was decided about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from central.store.models.base import DIGEST, IDENTITY, Base, one_of
from protocols.messages import utc_now

RolloutState = Literal[
    "planned", "running", "paused", "halted", "rolling_back", "done", "aborted", "rolled_back"
]  # fmt: skip
WaveState = Literal["waiting", "open", "passed", "failed"]
NodeStage = Literal[
    "waiting", "away", "offered", "installed", "healthy", "failed", "withdrawn", "returning", "returned", "stuck"
]  # fmt: skip


class Rollout(Base):
    """One pack on its way to the nodes of a plan. `central.releases.rollout` has the rules."""

    __tablename__ = "rollout"
    __table_args__ = (one_of("state", RolloutState),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    pack: Mapped[str] = mapped_column(ForeignKey("pack.address"))
    from_pack: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    """The pack that counted when it was planned: what it is compared with."""
    release: Mapped[int | None] = mapped_column(default=None)
    """Number of its release, from when it was started."""
    state: Mapped[str] = mapped_column(String(16), default="planned")
    revision: Mapped[int] = mapped_column(default=1)
    """Grows with each change of `state`; who changes it names the one that they saw."""
    fleet: Mapped[bool] = mapped_column(default=True)
    """Whether its plan has every node: then, once it is done, its release is the one that counts."""
    plan: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """A `central.releases.rollout.plan.Plan`."""
    wave: Mapped[int] = mapped_column(default=0)
    """Which wave is open, from 0."""
    clock_s: Mapped[float] = mapped_column(default=0.0)
    """Seconds that it was running with a connection to the broker: what deadlines are counted in."""
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it is in its state, in words."""
    notes: Mapped[str] = mapped_column(Text, default="")
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)
    started: Mapped[datetime | None] = mapped_column(default=None)
    finished: Mapped[datetime | None] = mapped_column(default=None)

    waves: Mapped[list[RolloutWave]] = relationship(order_by="RolloutWave.number", cascade="all, delete-orphan")
    nodes: Mapped[list[RolloutNode]] = relationship(
        order_by="(RolloutNode.wave, RolloutNode.node)", cascade="all, delete-orphan"
    )


class RolloutWave(Base):
    """One step of a rollout."""

    __tablename__ = "rollout_wave"
    __table_args__ = (one_of("state", WaveState),)

    rollout: Mapped[int] = mapped_column(ForeignKey("rollout.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 0."""
    group: Mapped[str] = mapped_column("in_group", String(IDENTITY), default="")
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    opened: Mapped[datetime | None] = mapped_column(default=None)
    opened_s: Mapped[float | None] = mapped_column(default=None)
    """On the rollout's clock, seconds."""
    settled_s: Mapped[float | None] = mapped_column(default=None)
    """When the last of its nodes had succeeded or failed, on the rollout's clock."""
    closed: Mapped[datetime | None] = mapped_column(default=None)
    gates: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The last `Verdict` of each gate, by its name."""


class RolloutNode(Base):
    """One node's share of a rollout."""

    __tablename__ = "rollout_node"
    __table_args__ = (Index("ix_rollout_node_node", "node"), one_of("stage", NodeStage))

    rollout: Mapped[int] = mapped_column(ForeignKey("rollout.id", ondelete="CASCADE"), primary_key=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"), primary_key=True)
    wave: Mapped[int] = mapped_column(default=0)
    group: Mapped[str] = mapped_column("in_group", String(IDENTITY), default="")
    stage: Mapped[str] = mapped_column(String(16), default="waiting")
    reason: Mapped[str] = mapped_column(Text, default="")
    late: Mapped[bool] = mapped_column(default=False)
    """Whether it was offered the release after its wave had opened, because it was away."""
    forgiven: Mapped[bool] = mapped_column(default=False)
    """Whether a person went on in spite of its failure: then it is judged no more."""
    offered: Mapped[datetime | None] = mapped_column(default=None)
    offered_s: Mapped[float | None] = mapped_column(default=None)
    """On the rollout's clock, seconds; of the last offer, the way back included."""
    silent_s: Mapped[float | None] = mapped_column(default=None)
    """Since when it has been away after it had installed the pack, on the rollout's clock."""
    health_seen: Mapped[datetime | None] = mapped_column(default=None)
    """The node's last health message when it was seen to have installed the pack: another one proves that it runs."""
    from_pack: Mapped[str | None] = mapped_column(String(DIGEST), default=None)
    """What it ran when it was offered the release: what it goes back to."""
    back: Mapped[int | None] = mapped_column(default=None)
    """Number of the release that takes it back."""
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)
    after: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """How it fared when it was offered the release, and with it: `central.releases.rollout.fared`."""


class RolloutEvent(Base):
    """Who did what, when and why. Nothing of it is ever changed."""

    __tablename__ = "rollout_event"
    __table_args__ = (Index("ix_rollout_event_rollout", "rollout", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    rollout: Mapped[int] = mapped_column(ForeignKey("rollout.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(default=utc_now)
    by: Mapped[str] = mapped_column(String(IDENTITY), default="")
    """A person, or the centre itself (`central.releases.rollout.CENTRE`)."""
    kind: Mapped[str] = mapped_column(String(24))
    from_state: Mapped[str] = mapped_column(String(16), default="")
    to_state: Mapped[str] = mapped_column(String(16), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
