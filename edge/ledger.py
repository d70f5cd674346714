"""What each camera spent of its quotas, on disk: so that a restart, even a kill, opens no new quota.

    kept frame, weighed -> a line in `spent.log`, synced -> spool          restart -> rows of the last day -> Quota

A line is written before the frame is spooled, so that none that leaves the node is missing here. Within one boot of
the machine the monotonic clock counts, which nobody sets; over a reboot the wall clock does. A row from the future
counts as spent just now: a clock that was set back must not open a quota either.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge.select.history import DAY_S, HOUR_S, Spent
from protocols import files
from protocols.messages import Count, Message

log = structlog.get_logger("edge.ledger")

NAME: Final = "spent.log"
COMPACT_AFTER: Final = 20_000
"""Lines after which the file is written anew: about 2 MB."""
GRAIN_S: Final = 90.0
"""Rows older than an hour are put together over so long; what they weigh counts as spent at the latest of them."""
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class _Row(Message, frozen=True, array_like=True):
    camera: str
    machine: str
    """Boot of the machine; within it `monotonic` may be compared."""
    monotonic: float
    wall: float
    frames: Count
    bytes: Count


@dataclass(frozen=True)
class Clocks:
    """Where the time comes from: `machine` names this boot, `monotonic` and `wall` are in seconds."""

    machine: str
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def clocks() -> Clocks:
    """Return the clocks of this machine; where it does not name its boots, only the wall clock lasts."""
    with contextlib.suppress(OSError):
        return Clocks(BOOT.read_text(encoding="ascii").strip()[:36])
    return Clocks("")


class Ledger:
    """The file `spent.log` in folder `data`. `note` is for one thread."""

    def __init__(self, data: Path, clock: Clocks | None = None) -> None:
        self._path, self._clock = data / NAME, clock or clocks()
        self._rows = self._recent(_read(self._path))
        self._lines, self._complained = 0, False
        self._handle = -1
        self._compact()

    def rows(self, camera: str) -> list[Spent]:
        """Return what `camera` kept within the last day, oldest first, in monotonic seconds of this process."""
        now = self._clock.monotonic()
        return sorted(
            (Spent(now - self._age(row), row.frames, row.bytes) for row in self._rows if row.camera == camera),
            key=lambda spent: spent.time,
        )

    def note(self, camera: str, at: float, size: int) -> None:
        """Write down, durably, that a frame of `camera` that was kept at monotonic time `at` weighs `size` bytes.

        A disk that does not take it is told once, and the node goes on: then only a restart forgets."""
        wall = self._clock.wall() - (self._clock.monotonic() - at)
        row = _Row(camera, self._clock.machine, round(at, 3), round(wall, 3), 1, size)
        self._rows.append(row)
        try:
            self._write(row)
            self._complained = False
        except OSError as error:
            if not self._complained:
                log.warning("what was spent cannot be kept over a restart", file=str(self._path), reason=error.strerror)
            self._complained = True

    def close(self) -> None:
        """Release the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, row: _Row) -> None:
        if self._handle < 0:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(self._handle, b"\n" + msgspec.json.encode(row))  # the break first: it parts from a line cut short
        os.fdatasync(self._handle)
        self._lines += 1
        if self._lines >= COMPACT_AFTER:
            self._rows = self._recent(self._rows)
            self._compact()

    def _compact(self) -> None:
        """Write the rows that still count into a new file."""
        self.close()
        self._lines = 0
        if not self._rows and not self._path.exists():
            return
        try:
            files.write_atomic(self._path, b"\n".join(msgspec.json.encode(row) for row in self._rows))
        except OSError as error:
            log.warning("what was spent cannot be tidied", file=str(self._path), reason=error.strerror)

    def _age(self, row: _Row) -> float:
        """Seconds since `row`."""
        if row.machine and row.machine == self._clock.machine:
            return max(0.0, self._clock.monotonic() - row.monotonic)
        return max(0.0, self._clock.wall() - row.wall)

    def _recent(self, rows: list[_Row]) -> list[_Row]:
        """Return the rows of the last day, those older than an hour put together."""
        kept: list[_Row] = []
        places: dict[tuple[str, str, int], int] = {}
        for row in rows:
            age = self._age(row)
            if age > DAY_S:
                continue
            key = (row.camera, row.machine, int(row.wall / GRAIN_S))
            if age > HOUR_S and key in places:
                other = kept[places[key]]
                kept[places[key]] = _Row(
                    row.camera, row.machine, max(other.monotonic, row.monotonic), max(other.wall, row.wall),
                    other.frames + row.frames, other.bytes + row.bytes,
                )  # fmt: skip
                continue
            places[key] = len(kept)
            kept.append(row)
        return kept


def _read(path: Path) -> list[_Row]:
    """Return the rows of `path`; lines that a power cut left unfinished are passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("what was spent before cannot be read", file=str(path), reason=error.strerror)
        return []
    rows = []
    for line in filter(None, lines):
        with contextlib.suppress(msgspec.MsgspecError, ValueError):
            rows.append(msgspec.json.decode(line, type=_Row))
    return rows
