"""Sources of proposals that look at waiting frames in the background, one file each.

    profile.proposers -> for each: frames that are new to it -> proposals with source, score and confidence

Each knows by itself which frames are new to it, stores what it found some frames at a time, and does nothing twice: a
job that was killed goes on where it was. None touches what a person decided. The registry is this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate.profile import ProfileProposer
from central.store.blobs import Blobs
from central.store.database import Database
from protocols import slots

SLOT: Final = "central.annotate.proposers"
ATTRIBUTE: Final = "PROPOSER"
DEFAULT: Final = tuple(ProfileProposer(kind=kind) for kind in ("track", "pack", "tags"))
"""Where a profile names none."""
MAX_FRAMES: Final = 2000
"""Waiting frames that a source looks at in one job, best first."""


class ProposerError(ValueError):
    """A source that cannot be used. The text says which, why, and what to do."""


@dataclass(frozen=True)
class Desk:
    """What a source works with. `pack` is the folder of the released pack, None where there is none; `every`: also
    where the node ran it; `until`, of `time.monotonic`, is when to leave the rest for the next job."""

    database: Database
    blobs: Blobs
    labels: Sequence[str]
    tags: Sequence[str] = ()
    pack: Path | None = None
    every: bool = False
    until: float = float("inf")
    limit: int = MAX_FRAMES
    report: Callable[[Mapping[str, Any]], None] = field(default=lambda _step: None)


class Member(Protocol):
    """``PROPOSER`` of a file in this folder."""

    name: str
    about: str

    async def waiting(self, session: AsyncSession, given: ProfileProposer, pack: str | None, every: bool) -> int:
        """Return how many frames are new to it (at least 1 where there may be some), cheaply; `pack` is the address
        of the released one."""
        ...

    async def propose(self, desk: Desk, given: ProfileProposer) -> Mapping[str, int]:
        """Propose on the frames that are new to it and return counts: ``frames`` looked at, ``changed``.

        Raises ProposerError.
        """
        ...


def proposer(name: str) -> Member:
    """Return the source called `name`. Raises SlotError, which lists those that there are."""
    found: Member = slots.member(SLOT, ATTRIBUTE, name)
    return found


def proposers() -> Mapping[str, Member]:
    """Return all sources by name."""
    return slots.members(SLOT, ATTRIBUTE)
