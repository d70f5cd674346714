"""The spool itself; `edge.spool` says what it keeps and promises."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edge.spool.aside import SHARE, Aside
from edge.spool.index import Index, Kind, Totals
from edge.spool.record import (
    PLAIN,
    Cipher,
    LockedError,
    pack_record,
    unpack_record,
)
from edge.spool.scan import scan
from edge.spool.shelf import DROPPED, Entry, Shelf, rank_of
from protocols import codec, files
from protocols.messages import FrameMessage

log = structlog.get_logger("edge.spool")

RESERVE_BYTES: Final = 256 * 1024
"""Given up when the disk is full, so that journals and deletions go through: a few hundred file-system blocks."""
FOLD_AT: Final = 64
"""Emptied files that may wait to be counted: a write of the index for each would double the work of eviction."""
CHECK_S: Final = 1.0
"""Seconds that checking the records may take at start; the rest is checked when read."""
SAVE_S: Final = 60.0
"""Between two writes of an index in which only counts of refused frames changed."""


@dataclass
class Counters:
    """What became of frames since the spool was opened; `Spool.totals` knows since it was made."""

    added: int = 0
    evicted: int = 0
    """Given up for better ones, refused because of the quota included."""
    expired: int = 0
    """Of these, given up as too old."""
    failed: int = 0
    """Not written because the disk was full or broken."""
    damaged: int = 0
    parked: int = 0
    """Put aside because they are refused for good."""
    receipted: int = 0
    receipted_bytes: int = 0


class Spool:
    """The spool in `folder`. Safe to use from several threads; `add` blocks for its fsyncs, the others hardly."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        max_frames: int,
        *,
        reserve: int = RESERVE_BYTES,
        max_age: float | None = None,
        cipher: Cipher | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or make the spool. `max_age` in seconds of running; `reserve` in bytes. Raises OSError only where the
        folder cannot be made or listed."""
        self.folder = folder
        self.max_bytes, self.max_frames, self.max_age = max_bytes, max_frames, max_age
        self.counters = Counters()
        self._reserve_bytes, self._cipher, self._clock = min(reserve, max_bytes // 8), cipher, clock
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        self._shelf = Shelf()
        self._dropped: list[Path] = []
        self._saved = clock()
        self._complained: int | None = None
        """Number of the error that the log has already."""
        self._age_base, self._opened = 0, clock()
        files.make_folder(folder)
        self._index = Index(folder)
        self._damaged = Aside(folder / "damaged", max_bytes // SHARE)
        self._parked = Aside(folder / "parked", max_bytes // SHARE)
        self._open()
        self._restore_reserve()

    def __len__(self) -> int:
        return len(self._shelf) - len(self._shelf.locked)

    @property
    def size_bytes(self) -> int:
        """Bytes of all records."""
        return self._shelf.bytes

    @property
    def locked(self) -> int:
        """Frames that wait for another key."""
        return len(self._shelf.locked)

    @property
    def totals(self) -> Totals:
        """What became of frames since the spool was made."""
        return self._index.totals

    @property
    def dropped(self) -> int:
        """Frames given up by policy since the spool was made: evicted, too old, refused, or not written on a full
        disk."""
        totals = self._index.totals
        return totals.evicted + totals.refused + totals.failed

    @property
    def age(self) -> float:
        """Seconds for which the spool was open since its oldest record was made, at least."""
        return self._age_base + self._clock() - self._opened

    def add(self, message: FrameMessage, value: float) -> bool:
        """Keep `message` until its receipt; `value` (0 or more, higher is better) decides what is sent and kept first.

        Returns False where the frame was refused: worth less than all that is there, or the disk is full. Adding an
        id twice keeps the first."""
        body = codec.encode("frames", message)
        with self._writing:
            record = pack_record(body, int(self.age), self._cipher)
            self._expire()
            with self._lock:
                if message.id in self._shelf:
                    return True
                entry = Entry(rank_of(value), self._index.order, message.id, len(record), int(self.age))
                self._index.order += 1
                victims = self._shelf.victims(entry, self._quota, self.max_frames)
            if victims is None:
                self.counters.evicted += 1
                self._index.count("refused")
                self._save_sometimes()
                return False
            self._evict(victims)
            if not self._write(entry, record):
                self.counters.failed += 1
                self._index.count("failed")
                self._save_sometimes()
                return False
            with self._lock:
                self._shelf.insert(entry)
        self.counters.added += 1
        return True

    def best(self, exclude: Collection[str] = ()) -> str | None:
        """Return the id of the most valuable, then oldest, frame that is not among `exclude`; None where there is
        none."""
        with self._lock:
            return self._shelf.best(exclude)

    def read(self, frame: str) -> bytes | None:
        """Return the encoded message of `frame`, or None where it is gone or turned out damaged (it is then
        quarantined)."""
        with self._lock:
            entry = self._shelf.get(frame)
        if entry is None:
            return None
        path = self.folder / entry.name
        try:
            body = unpack_record(path.read_bytes(), self._cipher)
        except FileNotFoundError:
            with self._lock:
                gone = self._shelf.forget(frame)  # None where it was evicted meanwhile
            if gone is not None:  # somebody deleted it
                self.counters.damaged += 1
                self._index.count("damaged")
            return None
        except LockedError:
            with self._lock:
                self._shelf.locked.add(frame)
            return None
        except OSError as error:
            log.warning("a spooled frame cannot be read", file=path.name, reason=error.strerror)
            body = None
        if body is None:
            self._put_aside(self._damaged, "damaged", entry)
            self.counters.damaged += 1
        return body

    def remove(self, frames: Collection[str]) -> int:
        """Delete `frames`, whose receipts came; those that are not here are ignored. Returns how many were."""
        removed = 0
        for frame in frames:
            with self._lock:
                entry = self._shelf.forget(frame)
            if entry is not None:
                self._unlink(entry)
                removed += 1
                self.counters.receipted += 1
                self.counters.receipted_bytes += entry.size
        if removed:
            self._restore_reserve()
        return removed

    def park(self, frame: str, reason: str) -> bool:
        """Put `frame` aside with the reason why it is never sent again. Returns False where it is not here."""
        with self._lock:
            entry = self._shelf.get(frame)
        if entry is None or not self._put_aside(self._parked, "parked", entry, reason):
            return False
        self.counters.parked += 1
        log.warning("a frame is put aside: it is refused for good", frame=frame, reason=reason)
        return True

    def tend(self) -> None:
        """Give up what is too old, and keep reserve and index as they should be. Call it now and then."""
        with self._writing:
            self._expire()
            self._restore_reserve()
            self._save_sometimes()

    def close(self) -> None:
        """Write down what only memory knows. The spool may be used on."""
        with self._writing:
            self._fold()
            self._index.age = int(self.age)
            self._index.save(force=True)

    def _unlink(self, entry: Entry) -> None:
        try:
            (self.folder / entry.name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("a spooled frame cannot be deleted", file=entry.name, reason=error.strerror)

    # --- giving up ---

    @property
    def _quota(self) -> int:
        """Bytes for records: the quota without what else lies in the folder."""
        return self.max_bytes - self._reserve_bytes - self._damaged.bytes - self._parked.bytes

    def _evict(self, victims: Collection[Entry]) -> None:
        """Give up `victims`: renamed durably, then emptied, and counted in the index some time later."""
        renamed = []
        for victim in victims:
            path = self.folder / victim.name
            with self._lock:
                if self._shelf.forget(victim.id) is None:
                    continue  # its receipt came
                try:
                    path.rename(path.with_suffix(DROPPED))
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.warning("a frame cannot be given up", file=path.name, reason=error.strerror)
                    self._shelf.insert(victim)
                    continue
            renamed.append(path.with_suffix(DROPPED))
            self.counters.evicted += 1
        if not renamed:
            return
        with contextlib.suppress(OSError):
            files.sync_folder(self.folder)
        for path in renamed:
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
        self._dropped += renamed
        self._index.saw("evicted", len(renamed))
        if len(self._dropped) >= FOLD_AT:
            self._fold()

    def _fold(self) -> None:
        self._index.age = int(self.age)
        if self._index.fold("evicted", self._dropped):
            self._dropped = []

    def _expire(self) -> None:
        if self.max_age is None:
            return
        with self._lock:
            victims = self._shelf.older(self.age - self.max_age)
        before = self.counters.evicted
        self._evict(victims)
        self.counters.expired += self.counters.evicted - before

    def _put_aside(self, aside: Aside, kind: Kind, entry: Entry, reason: str = "") -> bool:
        with self._writing:
            with self._lock:
                if self._shelf.forget(entry.id) is None:
                    return False
            return self._move(aside, kind, self.folder / entry.name, reason)

    def _put_away(self, spoiled: list[Path]) -> None:
        self.counters.damaged += len(spoiled)
        if spoiled:
            log.warning("damaged records were put aside", records=len(spoiled), first=spoiled[0].name)
            self._index.saw("damaged", sum(self._damaged.take(item, sync=False) for item in spoiled))
            self._damaged.settle(self.folder)

    def _move(self, aside: Aside, kind: Kind, path: Path, reason: str = "") -> bool:
        """Move a record away. Where even that fails, it stays and is found again at the next start."""
        if kind == "damaged":
            log.warning("a damaged record was put aside", file=path.name)
        moved = aside.take(path, reason)
        if moved:
            self._index.saw(kind)
            self._index.fold(kind, aside.surplus())
        return moved

    # --- the disk ---

    def _write(self, entry: Entry, record: bytes) -> bool:
        path = self.folder / entry.name
        for attempt in range(3):
            try:
                files.write_atomic(path, record)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or attempt == 2:
                    self._complain(error, len(record))
                    return False
                self._free_disk(entry, keep_reserve=attempt == 0)
            else:
                self._complained = None
                return True
        return False

    def _complain(self, error: OSError, size: int) -> None:
        """Say it once, until a frame is written again: a full disk must not be filled by the log as well."""
        level = log.debug if self._complained == error.errno else log.warning
        self._complained = error.errno
        level("a frame cannot be spooled; more like it are only counted", reason=error.strerror, bytes=size)

    def _free_disk(self, entry: Entry, *, keep_reserve: bool) -> None:
        """Make space for `entry` on a full disk: evict what is worth less, at most twice its size."""
        with self._lock:
            victims = self._shelf.worth_less(entry, 2 * entry.size)
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

    def _save_sometimes(self) -> None:
        if self._clock() - self._saved >= SAVE_S:
            self._saved = self._clock()
            self._index.age = int(self.age)
            self._index.save()

    # --- the start ---

    def _open(self) -> None:
        """Find out what is there, and bring to an end what a crash interrupted."""
        self._index.clean()
        self._index.saw("damaged", self._damaged.open())
        self._index.saw("parked", self._parked.open())
        found = scan(self.folder, CHECK_S)
        self._index.order = max(self._index.order, found.order)
        self._age_base, self._opened = max(self._index.age, found.stamp), self._clock()
        self._shelf.fill(entry for entry, _ in found.records)
        mine = {PLAIN, self._cipher.id if self._cipher else PLAIN}
        self._shelf.locked = {entry.id for entry, key in found.records if key not in mine}
        for item in found.halves:
            with contextlib.suppress(OSError):
                item.unlink(missing_ok=True)
        self._put_away(found.spoiled)
        self._dropped = found.dropped
        self._index.saw("evicted", len(self._dropped))
        for path in self._dropped:
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
        self._index.fold("damaged", self._damaged.surplus())
        self._index.fold("parked", self._parked.surplus())
        with self._lock:
            victims = self._shelf.surplus(self._quota, self.max_frames)
        self._evict(victims)
        self._fold()
        self._index.save(force=True)
        if self.locked:
            log.error(
                "frames are encrypted with another key; they stay, and are sent once spool.key_file names that key",
                frames=self.locked,
                folder=str(self.folder),
            )
