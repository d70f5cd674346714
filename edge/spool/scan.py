"""What lies in the spool's folder when it is opened."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge.spool.record import HEADER, PLAIN, Head, check_record
from edge.spool.shelf import DROPPED, NAME, SUFFIX, Entry

_UNSEEN = Head(PLAIN, 0, 0, b"", b"")
"""Of a record that there was no time to read."""


@dataclass
class Scan:
    """The files by what they are."""

    records: list[tuple[Entry, bytes]] = field(default_factory=list)
    """Whole records, oldest first, with their key ids."""
    dropped: list[Path] = field(default_factory=list)
    spoiled: list[Path] = field(default_factory=list)
    """What calls itself a record and is none."""
    halves: list[Path] = field(default_factory=list)
    """Files that were being written."""
    order: int = 0
    """The next one."""
    stamp: int = 0
    """Of the newest record that was read, seconds."""


def scan(folder: Path, check_s: float) -> Scan:
    """Look through `folder`. Records are read and checked for `check_s` seconds; of the rest only the sizes are looked
    at, and damage is found when they are sent. Raises OSError where the folder cannot be listed."""
    until, found = time.monotonic() + check_s, Scan()
    seen: set[str] = set()
    with os.scandir(folder) as entries:
        items = sorted(entries, key=lambda item: item.name)
    for item in items:
        match = NAME.match(item.name)
        if match is None:
            if item.name.endswith(".part"):
                found.halves.append(Path(item.path))
            elif item.name.endswith(SUFFIX):
                found.spoiled.append(Path(item.path))
            continue
        order, value, frame = int(match[1]), int(match[2]), match[3]
        found.order = max(found.order, order + 1)
        if item.name.endswith(DROPPED):
            found.dropped.append(Path(item.path))
            continue
        head, size = _look(item, deep=time.monotonic() < until)
        if head is None or frame in seen:
            found.spoiled.append(Path(item.path))
            continue
        seen.add(frame)
        found.stamp = found.stamp if head is _UNSEEN else head.stamp
        found.records.append((Entry(-value, order, frame, size, found.stamp), head.key))
    return found


def _look(item: os.DirEntry[str], *, deep: bool) -> tuple[Head | None, int]:
    """Return the head and the size in bytes of the record `item`; None for the head where it is damaged. Without
    `deep` only its size is looked at."""
    try:
        if not item.is_file(follow_symlinks=False):
            return None, 0
        if deep:
            data = Path(item.path).read_bytes()
            return check_record(data), len(data)
        size = item.stat(follow_symlinks=False).st_size
        return (_UNSEEN if size > HEADER else None), size
    except OSError:
        return None, 0
