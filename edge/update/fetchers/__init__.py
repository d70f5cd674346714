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


class Fetcher(Protocol):
    """Fetches small signed files and whole archives, on the update's thread."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the file `name`, no further than just beyond `limit` bytes. Raises MissingError, UnreachableError."""
        ...

    def fetch(
        self, address: str, approved: Approved, progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> Path:
        """Return the path of the archive of pack `address`, as long as `approved` says; a restart goes on behind its
        last byte. `progress` is told the share, 0..1. Raises UpdateError, OSError, and InterruptedError once `stop`
        says so."""
        ...

    def take(self, chunk: Chunk) -> None:
        """Hand in an answer that came over the link."""
        ...

    def discard(self, address: str) -> None:
        """Delete what was fetched of pack `address`."""
        ...


def part_path(data: Path, address: str) -> Path:
    """Return where the archive of pack `address` grows; leftovers of other packs are deleted. Raises OSError."""
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{address}.part"
    for old in folder.glob("*.part"):
        if old != path:
            old.unlink(missing_ok=True)
    return path
