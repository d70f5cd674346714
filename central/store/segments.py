"""Many small blobs in few files: a batch costs one write and one fsync instead of one of each per image.

    frames/2026-11-21/4f1c09aa37.seg@123456+60000        file, first byte, length

A process appends to a segment of its own until that is full, and never touches one that it did not begin: what a crash
left half-written at an end is referred to by nobody. An image is only known by its key, and a key is only handed out
after the fsync.

Space is reserved ahead: the file system then finds room once for many batches, which costs a tenth of finding it page
by page. Who writes a segment holds a lock on it (`flock`) until the last image of it is settled, that is until whoever
asked for the key keeps it or never will; `central.store.sweep` gives back what nobody refers to then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from protocols.files import sync_folder

MAX_SEGMENT: Final = 256 * 1024 * 1024
"""Bytes from which on a new segment is begun: few files, each still easy to copy."""
RESERVE: Final = 32 * 1024 * 1024
"""Bytes reserved ahead at most: a second's traffic of a large site. A young segment reserves as much as it holds."""
RESERVE_FIRST: Final = 1024 * 1024
BUFFERS: Final = 512
"""Pieces of one write; below the 1024 that systems allow."""
PLACE: Final = re.compile(r"^(.+\.seg)@(\d{1,15})\+(\d{1,15})$")
"""Key of an image in a segment: file, offset, length."""


def place(key: str) -> tuple[str, int, int] | None:
    """Return file, offset and length in bytes that `key` names, or None where it is no key of a segment."""
    match = PLACE.match(key)
    return None if match is None else (match[1], int(match[2]), int(match[3]))


class Segments:
    """Appends to segments below `root`. Safe to use from several threads; each `append` blocks for one fsync."""

    def __init__(self, root: Path, limit: int = MAX_SEGMENT) -> None:
        self._root, self._limit = root, limit
        self._lock = threading.Lock()
        self._name, self._handle, self._end, self._reserved = "", -1, 0, 0
        self._owed: Counter[str] = Counter()
        """Images by segment that nobody has settled yet."""
        self._full: dict[str, int] = {}
        """Handles of segments that are not written to any more, and wait for that."""

    def append(self, items: Sequence[bytes]) -> list[str]:
        """Store `items` durably and return their keys, in order; each has to be settled later. Raises OSError; nothing
        was stored then."""
        with self._lock:
            if self._handle < 0 or self._end >= self._limit:
                self._begin()
            at, keys = self._end, []
            for item in items:
                keys.append(f"{self._name}@{at}+{len(item)}")
                at += len(item)
            try:
                self._reserve(at)
                self._write(items)
                os.fdatasync(self._handle)
                self._forget(at)
            except OSError:
                # After a failed sync nobody knows what of this file is on the disk, so it is not written to again.
                self._retire()
                raise
            self._end = at
            self._owed[self._name] += len(items)
        return keys

    def settle(self, keys: Sequence[str]) -> None:
        """Say of `keys` that they were noted durably, or never will be: what nobody refers to may be swept away."""
        with self._lock:
            for name in filter(None, map(place, keys)):
                self._owed[name[0]] -= 1
            self._let_go()

    def close(self) -> None:
        """Close every segment; the next `append` begins another one."""
        with self._lock:
            self._retire()
            self._owed.clear()
            self._let_go()

    def _begin(self) -> None:
        self._retire()
        self._name = f"frames/{datetime.now(UTC):%Y-%m-%d}/{secrets.token_hex(8)}.seg"
        path = self._root / self._name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._end = self._reserved = 0
        try:
            with contextlib.suppress(OSError):  # a file system without locks: then nothing is swept there, either
                fcntl.flock(self._handle, fcntl.LOCK_EX)
            for folder in (path.parent, path.parent.parent, self._root):
                sync_folder(folder)
        except OSError:
            self._retire()
            raise

    def _reserve(self, end: int) -> None:
        """Reserve space up to `end` and some beyond. Where there is too little, or the file system cannot, none."""
        if end <= self._reserved or not hasattr(os, "posix_fallocate"):
            return
        upto = end + min(RESERVE, max(RESERVE_FIRST, end))
        try:
            os.posix_fallocate(self._handle, self._end, upto - self._end)
            self._reserved = upto
        except OSError:
            self._reserved = end
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self._end)

    def _forget(self, end: int) -> None:
        """Let the system take the memory of what was written and synced for the next batch: most images are looked at
        long after, and fresh memory for each costs more than the writing."""
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._handle, self._end, end - self._end, os.POSIX_FADV_DONTNEED)

    def _retire(self) -> None:
        """Write no more to this segment, and give back what it has beyond its last image."""
        if self._handle < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, self._end)
        self._full[self._name], self._handle = self._handle, -1
        self._let_go()

    def _let_go(self) -> None:
        """Close, and so unlock, what is full and settled."""
        for name in [name for name in self._full if self._owed[name] <= 0]:
            with contextlib.suppress(OSError):
                os.close(self._full.pop(name))
        self._owed = +self._owed

    def _write(self, items: Sequence[bytes]) -> None:
        left = [memoryview(item) for item in items]
        at = self._end
        while left:
            written = os.pwritev(self._handle, left[:BUFFERS], at)
            at += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]


def read(root: Path, key: str, start: int = 0, length: int | None = None) -> bytes:
    """Return bytes of the image `key`, all of them by default. Raises OSError where it is not there, whole."""
    found = place(key)
    if found is None:
        raise FileNotFoundError(key)
    name, offset, size = found
    wanted = size - start if length is None else min(length, size - start)
    handle = os.open(root / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(handle, wanted, offset + start)
    finally:
        os.close(handle)
    if len(data) != wanted or (data and not data.strip(b"\0")):  # cut off, or erased
        raise FileNotFoundError(key)
    return data


def erase(root: Path, key: str) -> None:
    """Overwrite the image `key` with zeros, durably; one that is not there is no error. Raises OSError."""
    found = place(key)
    if found is None:
        return
    name, offset, size = found
    try:
        handle = os.open(root / name, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = min(size, max(0, os.fstat(handle).st_size - offset))
        os.pwrite(handle, bytes(size), offset)
        os.fsync(handle)
    finally:
        os.close(handle)
