"""``blobs``: where the images lie."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from central.commands.backups import progress_bar
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, say, store
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError, Blobs
from central.store.move import Moved, move, total

MIB = 1 << 20
FOLDER = "folder"
app = typer.Typer(help="Where the images lie: move them, and see whether their store works.", no_args_is_help=True)


def _same(a: Blobs, b: Blobs) -> bool:
    names = [str(each.root) if each.remote is None else each.remote.name for each in (a, b)]
    return names[0] == names[1]


async def _move(settings: Settings, source_url: str, delete: bool) -> Moved:
    folder = settings.data / "blobs"
    source = blob_store.connect(None if source_url == FOLDER else source_url, folder)
    target = blob_store.connect(settings.blob_url, folder)
    if _same(source, target):
        raise CommandError("the images are to go to where they are; set WAYSIDE_BLOB_URL to the new place, or unset it")
    for each in (source, target):
        await each.prove()
    try:
        async with store(settings) as database:
            size = await database.run_read(total)
            with progress_bar("moving", size) as told:
                return await move(database, source, target, delete, told)
    finally:
        source.close()
        target.close()


@app.command("move")
def move_(
    source: Annotated[str, typer.Argument(help="Where they are: 'folder' (blobs/ in the data folder) or a URL.")],
    delete: Annotated[bool, typer.Option("--delete", help="Delete what no frame needs there any more.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Move every image from SOURCE to where the settings say, each checked by its hash before its frame names it.

    The centre may work meanwhile. What was ended is begun again and goes on. Exit status 1: images were damaged.

    Example: WAYSIDE_BLOB_URL=s3://bucket/wayside wayside-central blobs move folder --data /var/lib/wayside
    """
    with plain_errors(BlobError):
        done = asyncio.run(_move(load(data=data), source, delete))
    for frame in done.damaged:
        say(f"frame {frame}: its image is damaged; it stays where it is")
    freed = "" if done.freed is None else f", {done.freed / MIB:.1f} MiB deleted there"
    text = f"moved {done.moved} images, {done.bytes / MIB:.1f} MiB; {done.elsewhere} are not in it{freed}"
    result(asdict(done), as_json, text)
    if done.damaged:
        raise typer.Exit(1)


@app.command("check")
def check(data: Data = None, as_json: Json = False) -> None:
    """Say whether images can be stored and read where the settings say. Exit status 1: they cannot.

    Example: wayside-central blobs check
    """
    with plain_errors(BlobError):
        settings = load(data=data)
        place = blob_store.connect(settings.blob_url, settings.data / "blobs")
        trouble = asyncio.run(place.trouble())
    where = str(place.root) if place.remote is None else place.remote.name
    result({"place": where, "trouble": trouble}, as_json, f"{where}: {trouble or 'works'}")
    if trouble:
        raise typer.Exit(1)
