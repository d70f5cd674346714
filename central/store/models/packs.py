"""Models and their way to the nodes: packs, releases, and how far each node is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from central.store.models.base import DIGEST, IDENTITY, Base
from protocols.messages import utc_now


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
    held: Mapped[str | None] = mapped_column(Text, default=None)
    """Why nobody is offered it: what its round was stopped by; None where nothing speaks against it."""
    overridden: Mapped[str | None] = mapped_column(Text, default=None)
    """Who let it be released all the same, and why."""


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
    rollout: Mapped[int | None] = mapped_column(default=None)
    """The rollout that it belongs to, if any: then only those nodes are offered it that have a row in `release_node`,
    until the rollout is done."""

    nodes: Mapped[list[ReleaseNode]] = relationship(order_by="ReleaseNode.node", cascade="all, delete-orphan")


class ReleaseNode(Base):
    """How far one node is with one release."""

    __tablename__ = "release_node"

    release: Mapped[int] = mapped_column(ForeignKey("release.number", ondelete="CASCADE"), primary_key=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.name", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(String(16), default="announced")
    """A `protocols.messages.Step`."""
    withdrawn: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is not offered any more."""
    progress: Mapped[float] = mapped_column(default=0.0)
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(default=utc_now)
    report: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What the last terminal `Update` told: failed, shadow, starts."""
