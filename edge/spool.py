"""Selected frames on disk until their receipt comes: one file per frame, bounded, and the least valuable goes first.

    add(message, value) -> file, fsynced      best(...) -> what to send next      receipt -> remove(ids)

A record is ``WSF1 | length of body (8, big-endian) | SHA-256 of body (32) | body``; the body is the encoded
FrameMessage. Its name is ``{order}-{value}-{id}.frame``: with the folder's listing the index is complete, so nothing
else needs to be kept in step. `order` grows by one per record for the life of the spool, whatever the wall clock
does.

Rules
- Never more than the quota in bytes and in frames: the least valuable is evicted (of equal ones the newest) and
  counted; a frame that is itself the least valuable is refused and counted.
- A full disk is met by evicting less valuable frames than the new one, then by giving up the reserve file so that the
  node's small writes go through, then by refusing the frame. It is never an error of the caller.
- At start damaged records move to ``damaged/`` and are counted; the oldest of them are deleted beyond a small quota.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import hashlib
import os
import re
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from protocols import codec, files
from protocols.messages import FrameMessage

log = structlog.get_logger("edge.spool")

SUFFIX: Final = ".frame"
MAGIC: Final = b"WSF1"
HEADER: Final = len(MAGIC) + 8 + 32
VALUE_SCALE: Final = 1000
"""Steps per unit of value in a file name; finer differences do not matter for what to keep."""
MAX_VALUE: Final = 999_999
RESERVE_BYTES: Final = 256 * 1024
"""Given up when the disk is full, so that journals and deletions go through: a few hundred file-system blocks."""
MAX_DAMAGED: Final = 64
"""Damaged records kept for somebody to look at."""
CHECK_S: Final = 2.0
"""Seconds that checking the records may take at start; the rest is checked when read."""
_NAME = re.compile(r"^(\d{12})-(\d{6})-([0-9a-f-]{36})\.frame$")


@dataclass(frozen=True, order=True)
class Entry:
    """A record. Sorts the most valuable first, then the oldest."""

    rank: int
    """Value in steps, negated."""
    order: int
    id: str = field(compare=False)
    size: int = field(compare=False)
    """Bytes of the file."""

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.order:012d}-{-self.rank:06d}-{self.id}{SUFFIX}"


@dataclass
class Counters:
    """What became of frames since the spool was opened."""

    added: int = 0
    evicted: int = 0
    """Given up for better ones, refused because of the quota included."""
    failed: int = 0
    """Not written because the disk was full or broken."""
    damaged: int = 0
    receipted: int = 0
    receipted_bytes: int = 0


def pack_record(body: bytes) -> bytes:
    """Return the file content for the encoded message `body`."""
    return MAGIC + len(body).to_bytes(8, "big") + hashlib.sha256(body).digest() + body


def unpack_record(data: bytes) -> bytes | None:
    """Return the body of the record `data`, or None where it is damaged."""
    body = data[HEADER:]
    whole = data[:4] == MAGIC and int.from_bytes(data[4:12], "big") == len(body)
    return body if whole and hashlib.sha256(body).digest() == data[12:HEADER] else None


class Spool:
    """The spool in `folder`. Safe to use from several threads; `add` blocks for one fsync."""

    def __init__(self, folder: Path, max_bytes: int, max_frames: int, *, reserve: int = RESERVE_BYTES) -> None:
        """Open or make the spool. Raises OSError only where the folder cannot be made or listed."""
        self.folder = folder
        self.max_bytes, self.max_frames = max_bytes, max_frames
        self.counters = Counters()
        self._reserve_bytes = reserve
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._sorted: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._bytes = 0
        self._order = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._open()
        self._restore_reserve()

    def __len__(self) -> int:
        return len(self._sorted)

    @property
    def size_bytes(self) -> int:
        """Bytes of all records."""
        return self._bytes

    def add(self, message: FrameMessage, value: float) -> bool:
        """Keep `message` until its receipt; `value` (0 or more, higher is better) decides what is sent and kept first.

        Returns False where the frame was refused: worth less than all that is there, or the disk is full. Adding an
        id twice keeps the first."""
        record = pack_record(codec.encode("frames", message))
        with self._writing:
            with self._lock:
                if message.id in self._by_id:
                    return True
                rank = -min(MAX_VALUE, max(0, round(value * VALUE_SCALE)))
                entry = Entry(rank, self._order, message.id, len(record))
                self._order += 1
                if not self._make_room(entry):
                    self.counters.evicted += 1
                    return False
            if not self._write(entry, record):
                self.counters.failed += 1
                return False
            with self._lock:
                self._insert(entry)
        self.counters.added += 1
        return True

    def best(self, exclude: Collection[str] = ()) -> str | None:
        """Return the id of the most valuable, then oldest, frame that is not among `exclude`; None where there is
        none."""
        with self._lock:
            return next((e.id for e in self._sorted if e.id not in exclude), None)

    def read(self, frame: str) -> bytes | None:
        """Return the encoded message of `frame`, or None where it is gone or turned out damaged (it is then
        quarantined)."""
        with self._lock:
            entry = self._by_id.get(frame)
        if entry is None:
            return None
        path = self.folder / entry.name
        try:
            body = unpack_record(path.read_bytes())
        except FileNotFoundError:
            with self._lock:
                self._forget(frame)  # evicted meanwhile, or somebody deleted it
            return None
        except OSError as error:
            log.warning("a spooled frame cannot be read", file=path.name, reason=error.strerror)
            body = None
        if body is None:
            with self._lock:
                self._forget(frame)
            self._quarantine(path)
        return body

    def remove(self, frames: Collection[str]) -> int:
        """Delete `frames`, whose receipts came; those that are not here are ignored. Returns how many were."""
        removed = 0
        for frame in frames:
            with self._lock:
                entry = self._forget(frame)
            if entry is not None:
                self._unlink(entry)
                removed += 1
                self.counters.receipted += 1
                self.counters.receipted_bytes += entry.size
        if removed:
            self._restore_reserve()
        return removed

    def _insert(self, entry: Entry) -> None:
        bisect.insort(self._sorted, entry)
        self._by_id[entry.id] = entry
        self._bytes += entry.size

    def _forget(self, frame: str) -> Entry | None:
        entry = self._by_id.pop(frame, None)
        if entry is not None:
            del self._sorted[bisect.bisect_left(self._sorted, entry)]
            self._bytes -= entry.size
        return entry

    def _unlink(self, entry: Entry) -> None:
        try:
            (self.folder / entry.name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("a spooled frame cannot be deleted", file=entry.name, reason=error.strerror)

    def _make_room(self, entry: Entry) -> bool:
        """Evict until `entry` fits, unless it is worth less than what would have to go. Called with the lock held."""
        bytes_over = self._bytes + entry.size - self.max_bytes
        frames_over = len(self._sorted) + 1 - self.max_frames
        victims = []
        for worst in reversed(self._sorted):
            if bytes_over <= 0 and frames_over <= 0:
                break
            if worst < entry:
                return False
            victims.append(worst)
            bytes_over -= worst.size
            frames_over -= 1
        if bytes_over > 0 or frames_over > 0:
            return False
        self._evict(victims)
        return True

    def _evict(self, victims: list[Entry]) -> None:
        for victim in victims:
            self._forget(victim.id)
            self._unlink(victim)
            self.counters.evicted += 1

    def _write(self, entry: Entry, record: bytes) -> bool:
        path = self.folder / entry.name
        for attempt in range(3):
            try:
                files.write_atomic(path, record)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or attempt == 2:
                    log.warning("a frame cannot be spooled", reason=error.strerror, bytes=len(record))
                    return False
                self._free_disk(entry, keep_reserve=attempt == 0)
            else:
                return True
        return False

    def _free_disk(self, entry: Entry, *, keep_reserve: bool) -> None:
        """Make space for `entry` on a full disk: evict what is worth less, at most twice its size."""
        with self._lock:
            victims, freed = [], 0
            for worst in reversed(self._sorted):
                if freed >= 2 * entry.size or worst.rank <= entry.rank:
                    break
                victims.append(worst)
                freed += worst.size
            self._evict(victims)
        if not keep_reserve:
            with contextlib.suppress(OSError):
                self._reserve.unlink(missing_ok=True)

    @property
    def _reserve(self) -> Path:
        return self.folder / ".reserve"

    def _restore_reserve(self) -> None:
        try:
            if self._reserve.exists() and self._reserve.stat().st_size == self._reserve_bytes:
                return
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)
        except OSError:
            with contextlib.suppress(OSError):
                self._reserve.unlink(missing_ok=True)

    def _open(self) -> None:
        until = time.monotonic() + CHECK_S
        for item in sorted(self.folder.iterdir()):
            match = _NAME.match(item.name)
            if match is None:
                if item.name.endswith(".part"):
                    item.unlink(missing_ok=True)
                elif item.name.endswith(SUFFIX):
                    self._quarantine(item)
                continue
            order, value, frame = int(match[1]), int(match[2]), match[3]
            self._order = max(self._order, order + 1)
            if frame in self._by_id or not self._whole(item, deep=time.monotonic() < until):
                self._quarantine(item)
                continue
            self._insert(Entry(-value, order, frame, item.stat().st_size))
        with self._lock:
            while self._sorted and (self._bytes > self.max_bytes or len(self._sorted) > self.max_frames):
                self._evict([self._sorted[-1]])

    def _whole(self, path: Path, *, deep: bool) -> bool:
        try:
            if path.is_symlink() or not path.is_file():
                return False
            with path.open("rb") as file:
                head = file.read(HEADER)
                size = path.stat().st_size
                if head[:4] != MAGIC or int.from_bytes(head[4:12], "big") != size - HEADER:
                    return False
                return not deep or unpack_record(head + file.read()) is not None
        except OSError:
            return False

    def _quarantine(self, path: Path) -> None:
        """Put a damaged record aside. Where even that fails, it stays and is found again at the next start."""
        self.counters.damaged += 1
        log.warning("a damaged record was put aside", file=path.name)
        folder = self.folder / "damaged"
        try:
            folder.mkdir(exist_ok=True)
            path.rename(folder / path.name)
            for old in sorted(folder.iterdir())[:-MAX_DAMAGED]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("a damaged record cannot be moved", file=path.name, reason=error.strerror)
