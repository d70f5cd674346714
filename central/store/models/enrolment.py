"""Who was let in, and what was refused."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from central.store.models.base import DIGEST, IDENTITY, Base
from protocols.messages import utc_now


class Enrolment(Base):
    """A certificate that was made for a node. A node may have had several; at most one of them counts."""

    __tablename__ = "enrolment"

    serial: Mapped[str] = mapped_column(String(IDENTITY), primary_key=True)
    """Of the certificate, hexadecimal."""
    node: Mapped[str] = mapped_column(String(IDENTITY), index=True)
    site: Mapped[str] = mapped_column(String(IDENTITY), default="default")
    made: Mapped[datetime] = mapped_column(default=utc_now)
    expires: Mapped[datetime] = mapped_column()
    revoked: Mapped[datetime | None] = mapped_column(default=None)


class Parked(Base):
    """Something that came and cannot be stored, ever, put aside with the reason so that it blocks nothing.

    The frame itself is still at its node, which got no receipt; here is what tells what it was.
    """

    __tablename__ = "parked"
    __table_args__ = (UniqueConstraint("node", "channel", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(String(IDENTITY))
    channel: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(DIGEST))
    """Of the payload."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    head: Mapped[bytes] = mapped_column(LargeBinary)
    """The first bytes of the payload."""
    reason: Mapped[str] = mapped_column(Text)
    times: Mapped[int] = mapped_column(default=1)
    """How often it came."""
    first: Mapped[datetime] = mapped_column(default=utc_now)
    last: Mapped[datetime] = mapped_column(default=utc_now)
