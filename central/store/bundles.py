"""Many small blobs in few objects of a store that is asked for each: a batch costs one request instead of hundreds.

    frames/2026-11-21/4f1c09aa37b1d0c2.seg@123456+60000        object, first byte, length

As on a disk (see `segments`), a key says where the image lies. An object is written once, whole, under a name that is
never used again; what is read is a range of it. An image is taken out of it by writing the object once more with zeros
in its place, and the object goes when it holds nothing else.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import obstore
from obstore.exceptions import PreconditionError
from obstore.store import ObjectStore

from central.store import segments

MAX_BUNDLE: Final = 4 * 1024 * 1024
"""Bytes from which on the next image goes into another object: large enough that a request hardly counts, small enough
to be written once more where one image has to go, and sent several at a time."""
TRIES: Final = 5
"""To take an image out, while others take out others."""
SUFFIX: Final = ".seg"


def _groups(items: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Split `items`, in order, into what goes into one object each."""
    group: list[bytes] = []
    size = 0
    for item in items:
        if group and size + len(item) > MAX_BUNDLE:
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item)
    if group:
        yield group


async def append(store: ObjectStore, items: Sequence[bytes]) -> list[str]:
    """Store `items` and return their keys, in order; all are durable then. Raises errors of the store."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    keys, waiting = [], []
    for group in _groups(items):
        name, at = f"frames/{day}/{secrets.token_hex(8)}{SUFFIX}", 0
        for item in group:
            keys.append(f"{name}@{at}+{len(item)}")
            at += len(item)
        waiting.append(obstore.put_async(store, name, b"".join(group), use_multipart=False))
    await asyncio.gather(*waiting)
    return keys


def _sound(key: str, data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ConnectionError(f"{len(data)} bytes of {size} came back")
    if data and not data.strip(b"\0"):
        raise FileNotFoundError(key)  # taken out
    return data


async def read(store: ObjectStore, key: str) -> bytes:
    """Return the image `key`. Raises FileNotFoundError, ConnectionError where not all came, errors of the store."""
    name, at, size = _place(key)
    if not size:
        return b""
    return _sound(key, bytes(await obstore.get_range_async(store, name, start=at, length=size)), size)


async def stream(store: ObjectStore, key: str, chunk: int) -> tuple[int, AsyncIterator[bytes]]:
    """Return the size of the image `key` and its content in pieces. Raises as `read`, the pieces too."""
    name, at, size = _place(key)
    result = await obstore.get_async(store, name, options={"range": (at, at + size)})

    async def pieces() -> AsyncIterator[bytes]:
        came = 0
        async for piece in result.stream(min_chunk_size=chunk):
            came += len(piece)
            yield bytes(piece)
        if came != size:
            raise ConnectionError(f"{came} bytes of {size} came back")

    return size, pieces()


async def erase(store: ObjectStore, keys: Iterable[str]) -> None:
    """Take the images `keys` out, durably; what is not there is no error. Raises errors of the store."""
    by_name = defaultdict(list)
    for key in keys:
        name, at, size = _place(key)
        by_name[name].append((at, size))
    for name, places in by_name.items():
        for attempt in range(TRIES):
            try:
                await _rewrite(store, name, places)
                break
            except PreconditionError:  # somebody else took another one out meanwhile
                if attempt + 1 == TRIES:
                    raise


async def _rewrite(store: ObjectStore, name: str, places: Sequence[tuple[int, int]]) -> None:
    try:
        found = await obstore.get_async(store, name)
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise
        return
    data = bytearray(await found.bytes_async())
    for at, size in places:
        data[at : at + size] = bytes(max(0, min(size, len(data) - at)))
    if not data.strip(b"\0"):
        await obstore.delete_async(store, name)
        return
    e_tag = found.meta["e_tag"]
    try:
        await obstore.put_async(store, name, bytes(data), mode={"e_tag": e_tag}, use_multipart=False)
    except PreconditionError:
        raise
    except Exception as error:
        if "NotImplemented" not in str(error):  # a store without conditional writing: one server erases at a time
            raise
        await obstore.put_async(store, name, bytes(data), use_multipart=False)


def _place(key: str) -> tuple[str, int, int]:
    found = segments.place(key)
    if found is None:
        raise FileNotFoundError(key)
    return found
