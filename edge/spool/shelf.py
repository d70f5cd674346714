"""Which records there are and which goes first: the spool without its disk."""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

SUFFIX: Final = ".frame"
DROPPED: Final = ".dropped"
VALUE_SCALE: Final = 1000
"""Steps per unit of value in a file name; finer differences do not matter for what to keep."""
MAX_VALUE: Final = 999_999
NAME: Final = re.compile(r"^(\d{12})-(\d{6})-([0-9a-f-]{36})\.(frame|dropped)$")
"""Order, value in steps, id, and whether it waits or was given up."""


def rank_of(value: float) -> int:
    """Return the rank of a frame of `value` (0 or more, higher is better): in steps, negated."""
    return -min(MAX_VALUE, max(0, round(value * VALUE_SCALE)))


@dataclass(frozen=True, order=True)
class Entry:
    """A record. Sorts the most valuable first, then the oldest."""

    rank: int
    order: int
    id: str
    size: int = field(compare=False)
    """Bytes of the file."""
    stamp: int = field(compare=False, default=0)
    """Age of the spool when it was made, seconds."""

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.order:012d}-{-self.rank:06d}-{self.id}{SUFFIX}"


class Shelf:
    """The records that wait, by value and by age. Not safe for several threads by itself."""

    def __init__(self) -> None:
        self.bytes = 0
        self.locked: set[str] = set()
        """Ids of those that another key is needed for."""
        self._sorted: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        """Oldest first, as records are only ever added at the end."""

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, frame: str) -> bool:
        return frame in self._by_id

    def __iter__(self) -> Iterator[Entry]:
        """The records, the worst first."""
        return reversed(self._sorted)

    def get(self, frame: str) -> Entry | None:
        """Return the record of `frame`."""
        return self._by_id.get(frame)

    def fill(self, entries: Iterable[Entry]) -> None:
        """Add `entries`, the oldest first, to an empty shelf."""
        self._by_id = {entry.id: entry for entry in entries}
        self._sorted = sorted(self._by_id.values(), key=lambda entry: (entry.rank, entry.order, entry.id))
        self.bytes = sum(entry.size for entry in self._sorted)

    def insert(self, entry: Entry) -> None:
        """Add `entry`."""
        bisect.insort(self._sorted, entry)
        self._by_id[entry.id] = entry
        self.bytes += entry.size

    def forget(self, frame: str) -> Entry | None:
        """Take `frame` out and return its record, if it is there."""
        entry = self._by_id.pop(frame, None)
        if entry is not None:
            del self._sorted[bisect.bisect_left(self._sorted, entry)]
            self.locked.discard(frame)
            self.bytes -= entry.size
        return entry

    def best(self, exclude: Collection[str]) -> str | None:
        """Return the id of the first one that is neither locked nor among `exclude`."""
        return next((e.id for e in self._sorted if e.id not in exclude and e.id not in self.locked), None)

    def surplus(self, max_bytes: int, max_frames: int) -> list[Entry]:
        """Return the worst ones, without which the rest is within the quota."""
        return self._worst(self.bytes - max_bytes, len(self) - max_frames)

    def victims(self, entry: Entry, max_bytes: int, max_frames: int) -> list[Entry] | None:
        """Return what must go so that `entry` fits, or None where that is worth more, or there is not enough."""
        victims = self._worst(self.bytes + entry.size - max_bytes, len(self) + 1 - max_frames)
        left = self.bytes + entry.size - sum(v.size for v in victims)
        if left > max_bytes or len(self) + 1 - len(victims) > max_frames:
            return None
        return None if any(victim < entry for victim in victims) else victims

    def _worst(self, bytes_over: int, frames_over: int) -> list[Entry]:
        found = []
        for entry in self:
            if bytes_over <= 0 and frames_over <= 0:
                break
            found.append(entry)
            bytes_over -= entry.size
            frames_over -= 1
        return found

    def worth_less(self, entry: Entry, size: int) -> list[Entry]:
        """Return records that are worth less than `entry`, the worst first, until they make `size` bytes."""
        found, freed = [], 0
        for worst in self:
            if freed >= size or worst.rank <= entry.rank:
                break
            found.append(worst)
            freed += worst.size
        return found

    def older(self, stamp: float) -> list[Entry]:
        """Return the records made before the spool had the age `stamp`, seconds."""
        found = []
        for entry in self._by_id.values():
            if entry.stamp >= stamp:
                break
            found.append(entry)
        return found
