"""``backup`` and ``restore``: everything that the centre keeps, out and back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from central.commands.common import CommandError, Data, Json, load, plain_errors, result, say, store
from central.releases import offers, signing
from central.settings import Settings
from central.store import blobs as blob_store
from central.store import database as db
from central.store.backup import BackupError, Manifest, bring
from central.store.backup.bring import Restored
from central.store.backup.save import DATABASE, Saved, Told, save
from central.store.backup.vault import Vault
from central.store.blobs import BlobError, Blobs
from central.store.database import Database
from central.store.models import Deletion
from central.store.retention import RetentionError, again, record
from protocols.messages import utc_now
from protocols.trust import TrustError

MIB = 1 << 20


@contextmanager
def progress_bar(does: str, total: int | None) -> Iterator[Told]:
    """Yield what is told of each file; a bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn(does), BarColumn(), DownloadColumn(), TimeElapsedColumn(), TextColumn("{task.fields[name]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(does, total=total, name="")
        yield lambda name, size: bar.update(task, advance=size, name=name[-50:])


def _size(manifest: Manifest) -> int:
    return sum(kept.size for kept in (*manifest.files, *manifest.blobs))


def _lacks(missing: int) -> str:
    return f"; {missing} images that rows name were not there" if missing else ""


async def _save(settings: Settings, vault: Vault) -> Saved:
    async with store(settings) as database:
        blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
        with progress_bar("saving", None) as told:
            return await save(settings.data, database, blobs, vault, told)


def backup(
    folder: Annotated[
        Path, typer.Argument(help="Folder for all backups of this centre; what is there is not repeated.")
    ],
    keep: Annotated[int, typer.Option(min=0, help="Delete all backups but so many; 0 keeps all.")] = 0,
    verify: Annotated[bool, typer.Option("--verify", help="Read the whole backup once more, and compare.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Save everything that the centre keeps, while it runs: rows, images, packs, and keys, so guard the folder well.

    Exit status 1: saved, but images that rows name were missing.

    Example: wayside-central backup /mnt/backup --keep 14 --data /var/lib/wayside
    """
    with plain_errors(BackupError, BlobError):
        settings = load(data=data)
        if folder.absolute().is_relative_to((settings.data / "blobs").absolute()):
            raise CommandError(f"{folder}: lies among the images; give a folder elsewhere, best on another disk")
        vault = Vault(folder)
        done = asyncio.run(_save(settings, vault))
        read = vault.verify(vault.read(done.name)) if verify else None
        gone = vault.prune(keep) if keep else 0
    text = (
        f"backup {done.name}: {done.rows} rows, {done.files} files, {done.size / MIB:.1f} MiB, "
        f"{done.written / MIB:.1f} MiB of it new{_lacks(done.missing)}"
    )
    result({**asdict(done), "verified_bytes": read, "pruned": gone}, as_json, text)
    if done.missing:
        raise typer.Exit(1)


def _list(vault: Vault, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for name in vault.names():
        found = vault.read(name)
        count = sum(table.rows for table in found.tables)
        rows.append({"name": name, "version": found.version, "rows": count, "size": _size(found)})
    lines = [f"{r['name']}  version {r['version']}  {r['rows']} rows  {r['size'] / MIB:.1f} MiB" for r in rows]
    result({"backups": rows}, as_json, "\n".join(lines) or f"{vault.folder}: no backup in it")


def _deleted_since(vault: Vault, manifest: Manifest) -> int:
    """Return how many records of `manifest` or after it the rules deleted since, as the newest backup says."""

    def tombstones(found: Manifest) -> int:
        return sum(table.rows for table in found.tables if table.name == Deletion.__tablename__)

    return tombstones(vault.read()) - tombstones(manifest)


@dataclass(frozen=True)
class _Log:
    """A record of deletions to apply, and keys to trust besides the centre's own."""

    file: Path
    keys: tuple[str, ...]


async def _forget(log: _Log, database: Database, blobs: Blobs, data: Path) -> again.Again:
    own = data / "keys" / record.KEY
    trusted = [*log.keys, *([record.public(record.signer(data))] if own.exists() else [])]
    return await again.apply(database, blobs, data, log.file, trusted)


async def _fill(
    settings: Settings, vault: Vault, manifest: Manifest, scratch: Path, told: Told, log: _Log | None
) -> tuple[Restored, again.Again | None]:
    """Write everything: files to `scratch`, rows to the database, which lies there too unless it is elsewhere; then
    delete again what `log` lists."""
    blobs = blob_store.connect(settings.blob_url, scratch / "blobs")
    bring.files(vault, manifest, scratch, blobs.root, told)
    await bring.blobs(vault, manifest, blobs, told)
    signing.leap(scratch, utc_now())
    url = settings.database if settings.database_url is not None else db.sqlite_url(scratch / DATABASE)
    database = db.connect(url)
    try:
        rows = await bring.database(vault, manifest, database, told)
        async with database.write() as session:
            await offers.leap(session)
        gone = None if log is None else await _forget(log, database, blobs, scratch)
    finally:
        await database.close()
    files = len(manifest.files) + len(manifest.blobs)
    return Restored(manifest.at, rows, files, _size(manifest), manifest.missing), gone


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder that 'backup' wrote to.")],
    name: Annotated[str | None, typer.Option("--backup", help="Which one; the newest, if not given.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Say what backups there are, and end.")] = False,
    deletions: Annotated[
        Path | None, typer.Option(help="Record of 'retention export': what it lists is deleted again.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="Public key to trust for it; may be repeated.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back into an empty data folder (and an empty database, where that is elsewhere).

    Rows go into any database: set WAYSIDE_DATABASE_URL, and what was in SQLite is in PostgreSQL afterwards. Nobody is
    logged in. Nodes trust what is signed from now on, and take the next release. What the retention rules deleted
    since the backup is back, too, unless its record is given with --deletions.

    Example: wayside-central restore /mnt/backup --data /var/lib/wayside
    """
    with plain_errors(BackupError, BlobError, TrustError, RetentionError):
        vault = Vault(folder)
        if list_:
            _list(vault, as_json)
            return
        settings, manifest = load(data=data), vault.read(name)
        need = _size(manifest)
        where = next(p for p in (settings.data.absolute(), *settings.data.absolute().parents) if p.exists())
        free = shutil.disk_usage(where).free
        if need > free:
            raise CommandError(f"{where}: {free / MIB:.0f} MiB are free, the backup needs {need / MIB:.0f}")
        with bring.beside(settings.data) as scratch, progress_bar("restoring", need) as told:
            log = None if deletions is None else _Log(deletions, tuple(key or ()))
            done, gone = asyncio.run(_fill(settings, vault, manifest, scratch, told, log))
        since = _deleted_since(vault, manifest)
    if done.missing:
        say(f"{done.missing} images that rows name were not in the backup")
    if gone is not None:
        say(again.told(gone))
    elif since:
        say(f"{since} records were deleted by rules since this backup, and may be back; 'retention apply' with their")
        say("record ('retention export') deletes them again")
    text = f"restored {done.name}: {done.rows} rows, {done.files} files, {done.size / MIB:.1f} MiB in {settings.data}"
    result({**asdict(done), "deleted_since": since, "deleted_again": gone and asdict(gone)}, as_json, text)
