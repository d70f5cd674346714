"""What no rule deletes, and why: read once per run, and what changes quickly once more in each transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from central.store.models import Draft, Errand, Flag, Hold, Lease, Round, Snapshot
from protocols.messages import utc_now

OVER: Final = ("done", "failed")
REASONS: Final = {
    "held": "held by somebody",
    "camera": "its camera is held",
    "flagged": "flagged for others to look at",
    "snapshot": "part of a dataset snapshot",
    "round": "labelled, and a round is gathering what it learns from",
    "lent": "lent to another tool",
    "open": "open on somebody's screen, or half answered",
}
"""Each reason to keep a frame, in words."""


class Candidate(Protocol):
    """What of a frame matters here."""

    id: str
    node: str
    camera: str
    state: str


@dataclass
class Holds:
    """Everything that keeps frames. `read` brings it up to date; snapshots and errands are only read once each."""

    frames: set[str] = field(default_factory=set)
    cameras: set[tuple[str, str]] = field(default_factory=set)
    trained: set[str] = field(default_factory=set)
    lent: set[str] = field(default_factory=set)
    gathering: bool = False
    flagged: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)

    def read(self, session: Session, ids: Sequence[str] | None = None) -> None:
        """Bring it up to date; flags, leases and drafts only of the frames `ids` where they are given."""
        self.frames = set(session.scalars(select(Hold.frame).where(Hold.frame.is_not(None))))
        pairs = session.execute(select(Hold.node, Hold.camera).where(Hold.camera.is_not(None)))
        self.cameras = {(str(node), str(camera)) for node, camera in pairs}
        for address in session.scalars(select(Snapshot.address)).all():
            if address not in self._known:
                items = session.scalar(select(Snapshot.items).where(Snapshot.address == address)) or []
                self.trained.update(str(item["frame"]) for item in items)
                self._known.add(address)
        lent = session.scalars(select(Errand.frames).where(Errand.pulled.is_(None)))
        self.lent = {frame for frames in lent for frame in frames}
        rounds = select(Round.id).where(Round.state.not_in(OVER), Round.snapshot.is_(None)).limit(1)
        self.gathering = session.scalar(rounds) is not None
        self._read_desk(session, ids)

    def _read_desk(self, session: Session, ids: Sequence[str] | None) -> None:
        flags, drafts = select(Flag.frame), select(Draft.frame)
        leases = select(Lease.frame).where(Lease.until > utc_now())
        if ids is not None:
            flags, drafts = flags.where(Flag.frame.in_(ids)), drafts.where(Draft.frame.in_(ids))
            leases = leases.where(Lease.frame.in_(ids))
        self.flagged = set(session.scalars(flags))
        self.open = {*session.scalars(leases), *session.scalars(drafts)}

    def why(self, frame: Candidate) -> str | None:
        """Return the reason (a key of REASONS) to keep `frame`, None where there is none."""
        if frame.id in self.frames:
            return "held"
        if (frame.node, frame.camera) in self.cameras:
            return "camera"
        if frame.id in self.trained:
            return "snapshot"
        if self.gathering and frame.state == "labelled":
            return "round"
        sets = (("flagged", self.flagged), ("lent", self.lent), ("open", self.open))
        return next((reason for reason, held in sets if frame.id in held), None)


def kept(holds: Holds, frames: Iterable[Candidate]) -> dict[str, int]:
    """Return how many of `frames` stay, by reason."""
    counts: dict[str, int] = {}
    for frame in frames:
        reason = holds.why(frame)
        if reason is not None:
            counts[reason] = counts.get(reason, 0) + 1
    return counts
