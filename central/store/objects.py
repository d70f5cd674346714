"""Whole objects of a store of images: one may be an image, or a bundle or segment of many. For who copies them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import obstore
from obstore.exceptions import BaseError

from central.store import bundles, s3
from central.store.blobs import BlobAwayError, BlobMissingError, Blobs

PIECE: Final = 8 * 1024 * 1024
"""Bytes that are read at a time; what is put in pieces goes as parts of about that size."""


@dataclass(frozen=True)
class Object:
    """An object as it is listed."""

    name: str
    size: int
    """Bytes."""
    changed: int
    """When it was written, ns since 1970."""


async def listed(blobs: Blobs, below: str | None = None) -> AsyncIterator[Object]:
    """Yield every object, those `below` a folder where one is given, page by page. Raises BlobError."""
    try:
        async for page in obstore.list(blobs.store, below):
            for each in page:
                yield Object(each["path"], each["size"], int(each["last_modified"].timestamp() * 1e9))
    except (BaseError, OSError) as error:
        raise blobs.failed("cannot list", error) from None


def read(blobs: Blobs, name: str) -> Iterator[bytes]:
    """Yield the object `name` piece by piece; blocks. Raises BlobError."""
    came = 0
    try:
        found = obstore.get(blobs.store, name)
        for piece in found.stream(min_chunk_size=PIECE):
            came += len(piece)
            yield bytes(piece)
    except (BaseError, OSError) as error:
        if s3.missing(error):
            raise BlobMissingError(f"blob {name}: not there") from None
        raise blobs.failed(f"blob {name}", error) from None
    if came != found.meta["size"]:
        raise BlobAwayError(f"blob {name}: {came} bytes of {found.meta['size']} came back")


async def put(blobs: Blobs, name: str, pieces: Iterable[bytes], size: int) -> None:
    """Store the object `name`, of `size` bytes, given in `pieces`. Raises BlobError, and whatever `pieces` raises:
    there is no such object then."""
    if size <= bundles.MAX_BUNDLE:
        await blobs.put([(name, b"".join(pieces))])
        return
    try:
        await asyncio.to_thread(obstore.put, blobs.store, name, pieces)
    except (BaseError, OSError) as error:
        raise blobs.failed("cannot store", error) from None
