"""Images by key: a local folder, memory, or S3.

A `put` or `keep` that returned is durable. The object store library renames a finished file into place but does not
fsync, so on a local folder both the files and the folders that name them are fsynced afterwards, once per batch. `keep`
is for the many images of nodes: on a local folder they go into segments, a batch at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from central.store import segments
from protocols.files import make_folder, sync_folder

CHUNK: Final = 256 * 1024
"""Bytes that a streamed read holds at a time."""
SYNC_LANES: Final = 8
"""Files of one batch that are synced at a time: the file system then commits several with one write of its journal."""
_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999, where `datetime` ends; a node's clock may be anywhere."""
_KEY = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*\Z")


class BlobError(Exception):
    """A store that cannot be opened, or a key that it does not hold. The text says which."""


class BlobMissingError(BlobError):
    """A key that the store does not hold."""


@dataclass(frozen=True)
class Blob:
    """An opened blob: `size` in bytes, and its content in chunks of at most CHUNK bytes."""

    size: int
    chunks: AsyncIterator[bytes]


def frame_key(frame: str) -> str:
    """Return the key of the image of `frame` (a UUIDv7): always the same one, in a folder per UTC day of capture."""
    milliseconds = int(frame.replace("-", "")[:12], 16)
    if milliseconds > _LAST_MS:
        return f"frames/unknown/{frame}.jpg"
    return f"frames/{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d}/{frame}.jpg"


def _check(key: str) -> str:
    if not _KEY.match(key):
        raise BlobError(f"blob key {key[:80]!r} is not of the form folder/name")
    return key


def _place(key: str) -> bool:
    """Whether `key` is one of a segment, and sound. Raises BlobError where it only looks like one."""
    found = segments.place(key)
    if found is None:
        return False
    _check(found[0])
    return True


def _sync_files(root: Path, keys: Sequence[str]) -> None:
    for key in keys:
        handle = os.open(root / key, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sync_folders(root: Path, keys: Sequence[str]) -> None:
    folders = {root / parent for key in keys for parent in Path(key).parents}
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        sync_folder(folder)


async def _sync(root: Path, keys: Sequence[str]) -> None:
    lanes = [keys[i::SYNC_LANES] for i in range(min(SYNC_LANES, len(keys)))]
    await asyncio.gather(*(asyncio.to_thread(_sync_files, root, lane) for lane in lanes))
    await asyncio.to_thread(_sync_folders, root, keys)


class Blobs:
    """A store of immutable blobs."""

    def __init__(self, store: ObjectStore, root: Path | None = None) -> None:
        """Use `store`; `root` is its folder where it is a local one."""
        self._store, self._root = store, root
        self._segments = None if root is None else segments.Segments(root)

    @property
    def root(self) -> Path | None:
        """The folder, where the store is a local one."""
        return self._root

    async def keep(self, items: Sequence[tuple[str, bytes]]) -> list[str]:
        """Store `items` (wanted key and content) and return their keys, which may be others than wanted; all of them
        are durable when this returns. Keeping something again is a second copy of it. Once the keys are noted durably,
        or never will be, `settle` them. Raises BlobError."""
        if self._segments is None:
            await self.put(items)
            return [key for key, _ in items]
        try:
            return await asyncio.to_thread(self._segments.append, [data for _, data in items])
        except OSError as error:
            raise BlobError(f"blobs: cannot store ({str(error)[:300]})") from None

    def settle(self, keys: Sequence[str]) -> None:
        """Say of `keys`, which `keep` returned, that whoever refers to them does by now."""
        if self._segments is not None:
            self._segments.settle(keys)

    async def put(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Store `items` (key and content); all of them are durable when this returns. Raises BlobError.

        Putting a key again replaces it whole: nobody ever reads a half of it.
        """
        try:
            await asyncio.gather(*(obstore.put_async(self._store, _check(key), data) for key, data in items))
            if self._root is not None:
                await _sync(self._root, [key for key, _ in items])
        except (BaseError, OSError) as error:
            raise BlobError(f"blobs: cannot store ({str(error)[:300]})") from None

    def close(self) -> None:
        """Let go of the files that are open; `keep` opens another one."""
        if self._segments is not None:
            self._segments.close()

    async def open(self, key: str) -> Blob:
        """Open `key` for a streamed read. Raises BlobError."""
        if self._root is not None and _place(key):
            data = await self._in_segment(self._root, key)
            return Blob(len(data), _pieces(data))
        try:
            result = await obstore.get_async(self._store, _check(key))
        except FileNotFoundError:
            raise BlobMissingError(f"blob {key}: not there") from None
        except (BaseError, OSError) as error:
            raise BlobError(f"blob {key}: {str(error)[:300]}") from None
        return Blob(result.meta["size"], _chunks(result))

    async def read(self, key: str) -> bytes:
        """Return the content of `key`. Raises BlobError."""
        if self._root is not None and _place(key):
            return await self._in_segment(self._root, key)
        return b"".join([chunk async for chunk in (await self.open(key)).chunks])

    async def delete(self, key: str) -> None:
        """Remove `key`; one that is not there is no error. Raises BlobError."""
        try:
            if self._root is not None and _place(key):
                await asyncio.to_thread(segments.erase, self._root, key)
                return
            await obstore.delete_async(self._store, _check(key))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise BlobError(f"blob {key}: {str(error)[:300]}") from None

    async def _in_segment(self, root: Path, key: str) -> bytes:
        try:
            return await asyncio.to_thread(segments.read, root, key)
        except FileNotFoundError:
            raise BlobMissingError(f"blob {key}: not there") from None
        except OSError as error:
            raise BlobError(f"blob {key}: {str(error)[:300]}") from None


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


async def _chunks(result: obstore.GetResult) -> AsyncIterator[bytes]:
    async for chunk in result.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)


def connect(url: str | None, folder: Path) -> Blobs:
    """Return the store at `url` (``memory:``, ``file:///PATH``, ``s3://BUCKET/PREFIX``), or the local `folder` where it
    is None. Raises BlobError."""
    if url == "memory:":
        return Blobs(MemoryStore())
    if url is not None and not url.startswith("file:"):
        try:
            return Blobs(from_url(url))
        except (BaseError, ValueError) as error:
            raise BlobError(f"blob URL: {str(error)[:200]}; give file:///PATH or s3://BUCKET/PREFIX") from None
    root = (folder if url is None else Path(unquote(urlsplit(url).path))).absolute()
    try:
        make_folder(root)
    except OSError as error:
        raise BlobError(f"blob folder {root}: {error.strerror}; give another one") from None
    return Blobs(LocalStore(prefix=root), root)
