"""Packs that every server can hand out: kept in the blob store, with the local folder as what is at hand.

    registered -> archive and deltas into the blob store     `keep`, before anybody is told of the pack
    asked for  -> from the blob store into the folder         `bring` one file, `fetch` a whole pack
    registered by another server -> into the folder           `mirror`, in the background

Without a blob store that several servers see (`blobs` None) the folder is all there is, and nothing is copied.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select

from central.releases.registry import archive_path, delta_path
from central.store.blobs import BlobError, BlobMissingError, Blobs, connect
from central.store.database import Database
from central.store.models import Pack as PackRow
from protocols import delta, files
from protocols import pack as packs
from protocols.pack import Pack, PackError

log = structlog.get_logger("central.registry")

MIRROR_S: Final = 10.0
"""Between looks for packs that other servers registered."""
MIRRORED: Final = 30
"""The newest packs are fetched ahead; older ones when somebody asks for them."""
_NAME: Final = re.compile(r"^packs/([0-9a-f]{64})\Z")
_DELTA: Final = re.compile(r"^deltas/[0-9a-f]{32}\.[0-9a-f]{64}\Z")


async def share(url: str | None, folder: Path, pack: Pack) -> None:
    """Have `pack`, just registered in `folder` by a program beside the servers, in the blob store at `url`; None: there
    is none. Raises BlobError, PackError, OSError."""
    if url is not None:
        blobs = connect(url, folder)
        try:
            await Shelf(folder, blobs).keep(pack)
        finally:
            blobs.close()


async def share_file(url: str | None, key: str, path: Path) -> None:
    """Have the file at `path` as `key` in the blob store at `url`; None: there is none. Raises BlobError, OSError."""
    if url is not None:
        blobs = connect(url, path.parent)
        try:
            await blobs.put([(key, await asyncio.to_thread(path.read_bytes))])
        finally:
            blobs.close()


def report_key(round_id: str) -> str:
    """Return under which key the report of a round is in the blob store."""
    return f"rounds/{round_id}/report.html"


def _key(address: str) -> str:
    return f"packs/{address}{packs.SUFFIX}"


class Shelf:
    """The packs in `folder`, and in `blobs` where servers share them."""

    def __init__(self, folder: Path, blobs: Blobs | None = None) -> None:
        self.folder, self._blobs = folder, blobs
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def shared(self) -> bool:
        """Whether other servers see the packs."""
        return self._blobs is not None

    async def keep(self, pack: Pack) -> None:
        """Have the registered `pack` in the blob store, and the delta from its parent. Raises PackError, OSError."""
        if self._blobs is None:
            return
        names = [(_key(pack.address), archive_path(self.folder, pack.address))]
        if pack.manifest.parent is not None:
            name = delta.file_name(pack.manifest.parent, pack.address)
            names.append((name, delta_path(self.folder, name)))
        there = [(key, path) for key, path in names if await asyncio.to_thread(path.is_file)]
        try:
            await self._blobs.put([(key, await asyncio.to_thread(path.read_bytes)) for key, path in there])
        except BlobError as error:
            raise PackError(f"pack {pack.address[:12]}: other servers could not have it ({error}); try again") from None

    async def bring(self, name: str) -> None:
        """Have the file that nodes fetch as `name` in the folder, where it is anywhere. Raises nothing: a file that is
        not there is missed by whoever opens it."""
        match = _NAME.match(name)
        if self._blobs is None or not (match or _DELTA.match(name)):
            return
        path, key = (
            (archive_path(self.folder, match[1]), _key(match[1])) if match else (delta_path(self.folder, name), name)
        )
        if await asyncio.to_thread(path.is_file):
            return
        async with self._locks[name]:
            try:
                await self._bring(path, key)
            except BlobMissingError:
                log.debug("nobody has this file", name=name)
            except (BlobError, OSError) as error:
                log.warning("a file could not be fetched from the blob store", name=name, reason=str(error)[:300])
        self._locks.pop(name, None)

    async def _bring(self, path: Path, key: str) -> None:
        if self._blobs is None or await asyncio.to_thread(path.is_file):
            return
        data = await self._blobs.read(key)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(files.write_atomic, path, data)

    async def fetch(self, address: str) -> Path:
        """Return the folder of the pack `address`, brought here where it is not. It may still be missing or damaged:
        whoever opens it is told."""
        place = self.folder / address
        if self._blobs is None or await asyncio.to_thread(place.is_dir):
            return place
        await self.bring(f"packs/{address}")
        archive = archive_path(self.folder, address)
        if not await asyncio.to_thread(archive.is_file):
            return place  # just registered elsewhere, and on its way into the blob store
        try:
            found = await asyncio.to_thread(packs.unpack, archive, self.folder)
        except (PackError, OSError) as error:
            log.warning("a pack could not be unpacked", pack=address[:12], reason=str(error)[:300])
            return place
        if found.address != address:
            log.error("the blob store has another pack under this address", pack=address[:12], found=found.address[:12])
        return place

    async def mirror(self, database: Database) -> None:
        """Have the newest packs here, and go on until cancelled."""
        while self._blobs is not None:
            async with database.read() as session:
                query = select(PackRow.address).order_by(PackRow.registered.desc()).limit(MIRRORED)
                addresses = list(await session.scalars(query))
            for address in addresses:
                await self.fetch(address)
            await asyncio.sleep(MIRROR_S)
        await asyncio.Event().wait()
