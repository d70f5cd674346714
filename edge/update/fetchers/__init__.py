"""Where a node gets what its centre signed, and the packs themselves: one file per way.

link    by `fetch` and `chunks` over MQTT, which every node has anyway
https   from a folder that any web server gives out, for large fleets
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from protocols.messages import Chunk
from protocols.trust.verify import Approved

FOLDER: Final = "fetch"
"""Where archives lie, below the data folder, until they are whole."""


DELTA: Final = ".wdelta"
"""How the names of deltas end that are under way."""
Progress = Callable[[float], None]
"""Is told the share of a file that is there, 0..1."""
Stop = Callable[[], bool]


class Fetcher(Protocol):
    """Fetches small signed files, deltas and whole archives, on the update's thread."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the file `name`, no further than just beyond `limit` bytes. Raises MissingError, UnreachableError."""
        ...

    def fetch(self, address: str, approved: Approved, progress: Progress, stop: Stop) -> Path:
        """Return the path of the archive of pack `address`, as long as `approved` says; a restart goes on behind its
        last byte. Raises UpdateError, OSError, and InterruptedError once `stop` says so."""
        ...

    def delta(self, name: str, limit: int, progress: Progress, stop: Stop) -> Path:
        """Return the path of the delta `name`, of `limit` bytes at most; a restart goes on behind its last byte. Raises
        MissingError where there is none, and else as `fetch`."""
        ...

    def take(self, chunk: Chunk) -> None:
        """Hand in an answer that came over the link."""
        ...

    def discard(self, address: str) -> None:
        """Delete what was fetched of pack `address`."""
        ...


class Pace:
    """Keeps to `rate` bytes per second on average, None: to none. Pure: the time is passed in (monotonic seconds)."""

    def __init__(self, rate: int | None) -> None:
        self._rate, self._free = rate, float("-inf")

    def spent(self, size: int, now: float) -> None:
        """Note that `size` bytes came."""
        if self._rate is not None:
            self._free = max(self._free, now) + size / self._rate

    def left(self, now: float) -> float:
        """Return the seconds until more may be asked for."""
        return max(0.0, self._free - now)


def part_path(data: Path, address: str) -> Path:
    """Return where the archive of pack `address` grows; leftovers of other packs are deleted. Raises OSError."""
    return _only(data, f"{address}.part", address)


def delta_part(data: Path, name: str) -> Path:
    """Return where the delta `name` grows; leftovers of other packs are deleted. Raises OSError."""
    file = name.rpartition("/")[2]
    return _only(data, f"{file}{DELTA}", file.rpartition(".")[2])


def _only(data: Path, name: str, address: str) -> Path:
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if address not in old.name:
            old.unlink(missing_ok=True)
    return folder / name


def discard(data: Path, address: str) -> None:
    """Delete what was fetched of pack `address`."""
    for path in (data / FOLDER).glob(f"*{address}*"):
        path.unlink(missing_ok=True)
