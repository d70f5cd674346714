"""The packs that the centre holds: ``packs/<address>/`` and, as nodes fetch it, ``packs/<address>.wpack``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select

from central.store.database import Database
from central.store.models import Pack as PackRow
from protocols import files
from protocols import pack as packs
from protocols.pack import Pack


def archive_path(folder: Path, address: str) -> Path:
    """Return where the archive of pack `address` lies in `folder`."""
    return folder / f"{address}{packs.SUFFIX}"


def _keep(pack: Pack, folder: Path) -> tuple[Pack, int]:
    """Copy `pack` into `folder`, archive and files, and return it with the archive's size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = archive_path(folder, pack.address)
    data = packs.archive(pack)
    if not archive.is_file() or archive.stat().st_size != len(data):
        files.write_atomic(archive, data)
    kept = packs.unpack(archive, folder)
    if kept.address != pack.address:
        raise packs.PackError(f"{pack.folder}: changed while it was registered; try again")
    return kept, len(data)


async def register(
    database: Database, folder: Path, pack: Pack, measured: Mapping[str, float] | None = None
) -> Pack:
    """Copy `pack` into `folder` (``<data>/packs``), verify it there, note it, and return the copy. Twice is once.

    `measured` are figures that its manifest could not know yet. Raises PackError or OSError.
    """
    kept, size = await asyncio.to_thread(_keep, pack, folder)
    manifest = kept.manifest
    async with database.write() as session:
        if await session.get(PackRow, kept.address) is None:
            session.add(
                PackRow(
                    address=kept.address, name=manifest.name, size_bytes=size, labels=list(manifest.labels),
                    created=manifest.created, parent=manifest.parent, snapshot=manifest.snapshot,
                    metrics={**manifest.metrics, **(measured or {})},
                )
            )  # fmt: skip
    return kept


async def resolve(database: Database, text: str) -> str | None:
    """Return the address of the registered pack that `text` names: an address, its beginning (8 or more), or a name, of
    which the newest counts. None where there is none, or more than one."""
    async with database.read() as session:
        if len(text) >= 8:
            found = list(
                await session.scalars(select(PackRow.address).where(PackRow.address.startswith(text, autoescape=True)))
            )
            if len(found) == 1:
                return found[0]
        named = select(PackRow.address).where(PackRow.name == text).order_by(PackRow.registered.desc()).limit(1)
        return (await session.scalars(named)).first()
