"""Records put aside for somebody to look at: the last ones, within a small quota."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import structlog

from protocols import files

log = structlog.get_logger("edge.spool")

MAX_FILES: Final = 64
"""Records kept in each of the two folders."""
SHARE: Final = 16
"""Each folder holds at most one part in so many of the spool's quota in bytes."""
REASON: Final = ".reason"


class Aside:
    """The folder `path`, with at most `max_bytes` of records in it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._sizes: dict[str, int] = {}
        self.bytes = 0

    def open(self) -> int:
        """Look at what is there, and return how many records."""
        with contextlib.suppress(OSError):
            for item in sorted(self.path.iterdir()):
                if item.suffix == ".part":
                    item.unlink()
                elif item.suffix != REASON:
                    self._note(item.name, item.stat().st_size)
        return len(self._sizes)

    def _note(self, name: str, size: int) -> None:
        self._sizes[name] = size
        self.bytes += size

    def take(self, file: Path, reason: str = "", *, sync: bool = True) -> bool:
        """Move `file` here, with the reason beside it; durably, unless `sync` says that `settle` follows. Returns
        False where the disk refuses."""
        try:
            files.make_folder(self.path)
            size = file.stat().st_size
            if reason:
                with contextlib.suppress(OSError):
                    files.write_atomic((self.path / file.name).with_suffix(REASON), f"{reason}\n".encode())
            file.rename(self.path / file.name)
            if sync:
                self._sync(file.parent)
        except OSError as error:
            log.warning("a record cannot be put aside", file=file.name, reason=error.strerror)
            return False
        self._note(file.name, size)
        return True

    def settle(self, source: Path) -> None:
        """Make durable what was taken from folder `source`."""
        with contextlib.suppress(OSError):
            self._sync(source)

    def _sync(self, source: Path) -> None:
        files.sync_folder(self.path)
        files.sync_folder(source)

    def surplus(self) -> list[Path]:
        """Return the oldest records beyond the quota, and think of them as gone."""
        gone = []
        for name in sorted(self._sizes):
            if len(self._sizes) <= MAX_FILES and self.bytes <= self.max_bytes:
                break
            self.bytes -= self._sizes.pop(name)
            gone.append(self.path / name)
        return gone
