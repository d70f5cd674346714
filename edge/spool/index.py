"""What is not in the folder any more: counts for the life of the spool, and where the numbering goes on.

A frame that is given up stays as an emptied file until `Index.fold` counted it. The file is deleted only when the
index that counts it is on the disk, and the index names it, so that a power cut between the two counts nothing twice.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from protocols import files
from protocols.messages import Count, Message

log = structlog.get_logger("edge.spool")

NAME: Final = "index.json"
Kind = Literal["evicted", "damaged", "parked", "refused", "failed"]
KINDS: Final[tuple[Kind, ...]] = ("evicted", "damaged", "parked", "refused", "failed")


class Totals(Message, frozen=True, kw_only=True):
    """Frames by what became of them, since the spool was made."""

    evicted: Count = 0
    """Given up for better ones, or as too old."""
    damaged: Count = 0
    """Spoiled by the disk."""
    parked: Count = 0
    """Refused for good by the centre or the broker."""
    refused: Count = 0
    """Never accepted: worth less than all that was there."""
    failed: Count = 0
    """Never accepted: the disk was full or broken."""


class _Stored(Message, frozen=True, kw_only=True):
    order: Count = 0
    age: Count = 0
    totals: Totals = Totals()
    folded: tuple[str, ...] = ()


class Index:
    """The index of the spool in `folder`. Used under the spool's lock for writing."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        stored = self._read()
        self.order, self.age = stored.order, stored.age
        self.folded = stored.folded
        """Files that are counted already, though they may still be there."""
        self._counts: Counter[Kind] = Counter({kind: getattr(stored.totals, kind) for kind in KINDS})
        self._present: Counter[Kind] = Counter()
        self._dirty = bool(stored.folded)

    def _read(self) -> _Stored:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return _Stored()
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            log.warning("the index of the spool cannot be read; its counts begin anew", reason=str(error)[:200])
            with contextlib.suppress(OSError):
                self._path.rename(self._path.with_suffix(".damaged"))
            return _Stored()

    @property
    def totals(self) -> Totals:
        """What became of frames, those included whose files still say so."""
        return Totals(**{kind: self._counts[kind] + self._present[kind] for kind in KINDS})

    def saw(self, kind: Kind, count: int = 1) -> None:
        """Note `count` files that say what became of a frame."""
        self._present[kind] += count

    def count(self, kind: Kind) -> None:
        """Count a frame of which no file is left. Durable with the next `save`."""
        self._counts[kind] += 1
        self._dirty = True

    def fold(self, kind: Kind, paths: Sequence[Path]) -> bool:
        """Count `paths` and delete them. Where the index cannot be written they stay, emptied, are counted as they
        are, and False is returned."""
        if not paths:
            return True
        self._move(kind, len(paths))
        self.folded = tuple(str(path.relative_to(self._path.parent)) for path in paths)
        self._dirty = True
        if self.save():
            self.clean()
            return True
        self._move(kind, -len(paths))
        self.folded = ()
        for path in paths:
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
        return False

    def _move(self, kind: Kind, count: int) -> None:
        self._counts[kind] += count
        self._present[kind] -= count

    def clean(self) -> None:
        """Delete what is counted, durably: the next index does not name it any more."""
        root = self._path.parent
        for name in self.folded:
            with contextlib.suppress(OSError):
                (root / name).unlink(missing_ok=True)
                (root / name).with_suffix(".reason").unlink(missing_ok=True)
        for folder in {(root / name).parent for name in self.folded}:
            with contextlib.suppress(OSError):
                files.sync_folder(folder)
        self.folded = ()

    def save(self, *, force: bool = False) -> bool:
        """Write the index where something changed. Returns False where the disk does not take it."""
        if not (self._dirty or force):
            return True
        totals = Totals(**dict(self._counts))
        stored = _Stored(order=self.order, age=self.age, totals=totals, folded=self.folded)
        try:
            files.write_atomic(self._path, msgspec.json.format(msgspec.json.encode(stored), indent=1))
        except OSError as error:
            log.debug("the index of the spool cannot be written", reason=error.strerror)
            return False
        self._dirty = False
        return True
