"""The packs that the centre holds: ``packs/<address>/`` and, as nodes fetch it, ``packs/<address>.wpack``; from its
parent to each the delta, ``deltas/<parent>.<address>``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog
from sqlalchemy import select, update

from central.store.database import Database
from central.store.models import Pack as PackRow
from protocols import delta, files
from protocols import pack as packs
from protocols.pack import Pack

log = structlog.get_logger("central.registry")


def archive_path(folder: Path, address: str) -> Path:
    """Return where the archive of pack `address` lies in `folder`."""
    return folder / f"{address}{packs.SUFFIX}"


def delta_path(folder: Path, name: str) -> Path:
    """Return where the delta `name` (`protocols.delta.file_name`) lies, beside the `folder` of packs."""
    return folder.parent / name


def _shorten(pack: Pack, folder: Path) -> None:
    """Write the delta from the parent of `pack`, where `folder` has it and it is the shorter way."""
    parent = pack.manifest.parent
    if parent is None or not (folder / parent).is_dir():
        return
    path = delta_path(folder, delta.file_name(parent, pack.address))
    if path.exists():
        return
    try:
        change = delta.choose(packs.open_folder(folder / parent), pack)
    except (packs.PackError, delta.DeltaError) as error:
        log.warning("no delta to this pack; nodes fetch the whole of it", pack=pack.address[:12], reason=str(error))
        return
    if change is not None:
        path.parent.mkdir(exist_ok=True)
        files.write_atomic(path, change)


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
    _shorten(kept, folder)
    return kept, len(data)


async def register(
    database: Database, folder: Path, pack: Pack, measured: Mapping[str, float] | None = None, held: str | None = None
) -> Pack:
    """Copy `pack` into `folder` (``<data>/packs``), verify it there, note it, and return the copy. Twice is once.

    `measured` are figures that its manifest could not know yet; `held` says why nobody may be offered it. Raises
    PackError or OSError.
    """
    kept, size = await asyncio.to_thread(_keep, pack, folder)
    manifest = kept.manifest
    async with database.write() as session:
        if await session.get(PackRow, kept.address) is None:
            session.add(
                PackRow(
                    address=kept.address, name=manifest.name, size_bytes=size, labels=list(manifest.labels),
                    created=manifest.created, parent=manifest.parent, snapshot=manifest.snapshot,
                    metrics={**manifest.metrics, **(measured or {})}, held=held,
                )
            )  # fmt: skip
    return kept


async def hold(database: Database, address: str, reason: str | None) -> None:
    """Note why nobody may be offered a registered pack; None: nothing speaks against it."""
    async with database.write() as session:
        await session.execute(update(PackRow).where(PackRow.address == address).values(held=reason))


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
