"""Images by key: a local folder, memory, or S3.

A `put` or `keep` that returned is durable. The object store library renames a finished file into place but does not
fsync, so on a local folder both the files and the folders that name them are fsynced afterwards, once per batch. `keep`
is for the many images of nodes: on a local folder they go into segments, on S3 into bundles, a batch at a time.

Images that lie in the local folder are still found there once S3 has taken its place: the folder is asked for what S3
does not have, until everything was moved.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore

from central.store import bundles, s3, segments
from protocols.files import make_folder, sync_folder

log = structlog.get_logger("central.store")

CHUNK: Final = 256 * 1024
"""Bytes that a streamed read holds at a time."""
SYNC_LANES: Final = 8
"""Files of one batch that are synced at a time: the file system then commits several with one write of its journal."""
PUT_LANES: Final = 32
"""Objects put at a time: more of them would only wait in the store, and count as late."""
PROBE: Final = "probe"
"""Key of what is put to see whether a store elsewhere takes it."""
PROVE_S: Final = 3.0
"""For whoever asks for readiness."""
_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999, where `datetime` ends; a node's clock may be anywhere."""
_KEY = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*\Z")


class BlobError(Exception):
    """A store that cannot be opened, or a key that it does not hold. The text says which."""


class BlobMissingError(BlobError):
    """A key that the store does not hold."""


class BlobAwayError(BlobError):
    """A store that does not work now, and may again without anybody's help."""


class BlobDamagedError(BlobError):
    """What came back is not what was stored."""


@dataclass(frozen=True)
class Remote:
    """What a store on another machine has beside itself."""

    name: str
    """For people."""
    reading: ObjectStore
    """The same store, for who cannot wait for long."""
    behind: Path
    """The local folder that it has taken the place of."""


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

    def __init__(self, store: ObjectStore, root: Path | None = None, remote: Remote | None = None) -> None:
        """Use `store`; `root` is its folder where it is a local one, `remote` what belongs to one elsewhere."""
        self._store, self._root, self._remote = store, root, remote
        self._reading = store if remote is None else remote.reading
        self._segments = None if root is None else segments.Segments(root)

    @property
    def root(self) -> Path | None:
        """The folder, where the store is a local one."""
        return self._root

    @property
    def remote(self) -> Remote | None:
        """What belongs to the store, where it is on other machines."""
        return self._remote

    @property
    def store(self) -> ObjectStore:
        """The library's store."""
        return self._store

    async def keep(self, items: Sequence[tuple[str, bytes]]) -> list[str]:
        """Store `items` (wanted key and content) and return their keys, which may be others than wanted; all of them
        are durable when this returns. Keeping something again is a second copy of it. Once the keys are noted durably,
        or never will be, `settle` them. Raises BlobError."""
        contents = [data for _, data in items]
        try:
            if self._segments is not None:
                return await asyncio.to_thread(self._segments.append, contents)
            if self._remote is not None:
                return await bundles.append(self._store, contents)
        except (BaseError, OSError) as error:
            raise self.failed("cannot store", error) from None
        await self.put(items)
        return [key for key, _ in items]

    def settle(self, keys: Sequence[str]) -> None:
        """Say of `keys`, which `keep` returned, that whoever refers to them does by now."""
        if self._segments is not None:
            self._segments.settle(keys)

    async def put(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Store `items` (key and content); all of them are durable when this returns. Raises BlobError.

        Putting a key again replaces it whole: nobody ever reads a half of it.
        """
        try:
            for at in range(0, len(items), PUT_LANES):
                part = items[at : at + PUT_LANES]
                await asyncio.gather(*(obstore.put_async(self._store, _check(key), data) for key, data in part))
            if self._root is not None:
                await _sync(self._root, [key for key, _ in items])
        except (BaseError, OSError) as error:
            raise self.failed("cannot store", error) from None

    def close(self) -> None:
        """Let go of the files that are open; `keep` opens another one."""
        if self._segments is not None:
            self._segments.close()

    async def prove(self) -> None:
        """Ask a store elsewhere whether it is there and takes what is put. Raises BlobError, of what only a person can
        mend, BlobAwayError of the rest; a local folder or memory is never asked."""
        try:
            await self._try()
        except (BaseError, OSError) as error:
            raise self.failed("cannot be used", error) from None

    async def trouble(self) -> str:
        """Return in one line why images cannot be stored and read now; empty where they can. It does not say where they
        are: this is for whoever asks for readiness."""
        if self._root is not None and not os.access(self._root, os.W_OK | os.X_OK):
            return "the folder cannot be written to"
        try:
            async with asyncio.timeout(PROVE_S):
                await self._try()
        except TimeoutError:
            return "the store does not answer in time"
        except (BaseError, OSError) as error:
            return s3.explain(error)[0]
        return ""

    async def _try(self) -> None:
        if self._remote is not None:
            await obstore.put_async(self._remote.reading, PROBE, b"wayside", use_multipart=False)
            await obstore.list(self._remote.reading, PROBE).collect_async()

    async def open(self, key: str) -> Blob:
        """Open `key` for a streamed read. Raises BlobError."""
        placed = _place(key)
        if self._root is not None and placed:
            data = await self._in_folder(self._root, key)
            return Blob(len(data), _pieces(data))
        try:
            if self._remote is not None and placed:
                size, chunks = await bundles.stream(self._reading, key, CHUNK)
                return Blob(size, self._told(key, chunks))
            result = await obstore.get_async(self._reading, _check(key))
        except (BaseError, OSError) as error:
            if not s3.missing(error):
                raise self.failed(f"blob {key}", error) from None
            data = await self._elsewhere(key)
            return Blob(len(data), _pieces(data))
        return Blob(result.meta["size"], self._told(key, _chunks(result)))

    async def read(self, key: str, sha256: str | None = None) -> bytes:
        """Return the content of `key`. What comes from elsewhere has to have the hash `sha256`, where that is given:
        the way is longer than to a disk. Raises BlobError."""
        data = await self._read(key)
        if sha256 is None or self._remote is None or hashlib.sha256(data).hexdigest() == sha256:
            return data
        data = await self._read(key)  # once more: it may have been the way here
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BlobDamagedError(f"blob {key}: not what was stored; bring it back from a backup")
        return data

    async def _read(self, key: str) -> bytes:
        placed = _place(key)
        if self._root is not None and placed:
            return await self._in_folder(self._root, key)
        try:
            if self._remote is not None and placed:
                return await bundles.read(self._reading, key)
            result = await obstore.get_async(self._reading, _check(key))
            return bytes(await result.bytes_async())
        except (BaseError, OSError) as error:
            if s3.missing(error):
                return await self._elsewhere(key)
            raise self.failed(f"blob {key}", error) from None

    async def delete(self, key: str) -> None:
        """Remove `key`; one that is not there is no error. Raises BlobError."""
        await self.delete_all([key])

    async def delete_all(self, keys: Iterable[str]) -> None:
        """Remove `keys`; those that are not there are no error. Raises BlobError: some of them may be gone then."""
        placed: list[str] = []
        whole: list[str] = []
        for key in keys:
            (placed if _place(key) else whole).append(key)
        try:
            for folder in self._folders():
                for key in placed:
                    await asyncio.to_thread(segments.erase, folder, key)
            if self._root is None and placed:
                await bundles.erase(self._store, placed)
            for key in whole:
                await self._delete(key)
        except (BaseError, OSError) as error:
            raise self.failed("cannot delete", error) from None

    async def _delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, _check(key))
        except FileNotFoundError as error:
            if not s3.missing(error):
                raise
        if self._remote is not None:
            (self._remote.behind / key).unlink(missing_ok=True)

    def _folders(self) -> list[Path]:
        """The local folders that images may lie in."""
        if self._root is not None:
            return [self._root]
        return [self._remote.behind] if self._remote is not None and self._remote.behind.is_dir() else []

    async def _elsewhere(self, key: str) -> bytes:
        """Return what the folder has that a store elsewhere has taken the place of. Raises BlobMissingError."""
        if self._remote is not None and self._remote.behind.is_dir():
            return await self._in_folder(self._remote.behind, key)
        raise BlobMissingError(f"blob {key}: not there")

    async def _in_folder(self, root: Path, key: str) -> bytes:
        try:
            return await asyncio.to_thread(_from_folder, root, key)
        except FileNotFoundError:
            raise BlobMissingError(f"blob {key}: not there") from None
        except OSError as error:
            raise BlobError(f"blob {key}: {str(error)[:300]}") from None

    async def _told(self, key: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield `chunks`; what breaks them off is told as an error of ours."""
        try:
            async for chunk in chunks:
                yield chunk
        except (BaseError, OSError) as error:
            raise self.failed(f"blob {key}", error) from None

    def failed(self, what: str, error: BaseException) -> BlobError:
        """Return `error` of the library as one of ours, which says in one line what could not be done, and why."""
        if self._remote is None:
            return BlobError(f"blobs: {what} ({str(error)[:300]})")
        why, ours = s3.explain(error)
        return (BlobError if ours else BlobAwayError)(f"{self._remote.name}: {what}: {why}")


def _from_folder(root: Path, key: str) -> bytes:
    return segments.read(root, key) if segments.place(key) else (root / _check(key)).read_bytes()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


async def _chunks(result: obstore.GetResult) -> AsyncIterator[bytes]:
    async for chunk in result.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)


def connect(url: str | None, folder: Path) -> Blobs:
    """Return the store at `url` (``memory:``, ``file:///PATH``, ``s3://BUCKET/PREFIX``), or the local `folder` where it
    is None. Asks no other machine. Raises BlobError."""
    if url == "memory:":
        return Blobs(MemoryStore())
    if url is not None and url.startswith("s3:"):
        try:
            address = s3.parse(url)
            store, reading = s3.connect(address)
        except s3.AddressError as error:
            raise BlobError(f"blob URL: {error}") from None
        return Blobs(store, remote=Remote(address.name, reading, folder.absolute()))
    if url is not None and not url.startswith("file:"):
        raise BlobError("blob URL: give file:///PATH, s3://BUCKET/PREFIX or memory:")
    root = (folder if url is None else Path(unquote(urlsplit(url).path))).absolute()
    try:
        make_folder(root)
    except OSError as error:
        raise BlobError(f"blob folder {root}: {error.strerror}; give another one") from None
    return Blobs(LocalStore(prefix=root), root)


async def opened(url: str | None, folder: Path) -> Blobs:
    """Return the store as `connect` does, after it was asked: one that only a person can mend is refused, one that is
    away is not, since it comes back. Raises BlobError."""
    made = connect(url, folder)
    try:
        await made.prove()
    except BlobAwayError as error:
        log.warning("images can be neither stored nor read yet; nodes keep theirs until they can", reason=str(error))
    return made
