"""``import`` and ``export``: data sets into the store, and out of it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from central.annotate import exchange, formats, profile
from central.annotate.formats import Format, FormatError
from central.annotate.profile import ProfileError
from central.commands.common import Data, Json, load, plain_errors, result, store
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError

ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="What the project labels: street, medical, or a YAML file.")
]
FormatArgument = Annotated[str, typer.Argument(metavar="FORMAT", help="coco")]


def _format(name: str) -> Format:
    kinds = formats.kinds()
    if name not in kinds:
        raise FormatError(f"format {name!r} does not exist; formats: {', '.join(kinds)}")
    return kinds[name]


def import_(
    form: FormatArgument,
    path: Annotated[Path, typer.Argument(help="The data set.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder that its file names start from; images become frames.")
    ] = None,
    data: Data = None,
    profile_name: ProfileOption = None,
    as_json: Json = False,
) -> None:
    """Import labels: with their images as new frames, or for frames that have the same file names. Twice is once.

    Example: wayside-central import coco street/train.json --images street/images
    """

    async def work(settings: Settings) -> exchange.Imported:
        dataset = _format(form).read(path)
        known = profile.load(settings.profile).label_names
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("importing", total=len(dataset.pictures))
            async with store(settings, make=True) as database:
                blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
                return await exchange.take_in(
                    database,
                    blobs,
                    dataset,
                    images,
                    known,
                    "import",
                    lambda done, _all: bar.update(task, completed=done),
                )

    with plain_errors(FormatError, ProfileError, BlobError):
        done = asyncio.run(work(load(data=data, profile=profile_name)))
    text = (
        f"{done.frames} new frames, {done.labelled} labelled with {done.boxes} boxes, {done.unmatched} without a frame"
    )
    result(asdict(done), as_json, text)


def export(
    form: FormatArgument,
    path: Annotated[Path, typer.Argument(help="File to write.")],
    images: Annotated[Path | None, typer.Option(help="Folder to write the images to, too.")] = None,
    data: Data = None,
    profile_name: ProfileOption = None,
    as_json: Json = False,
) -> None:
    """Export every labelled frame, with what it is complete for.

    Example: wayside-central export coco labels.json --images images
    """

    async def work(settings: Settings) -> dict[str, Any]:
        writer = _format(form)
        known = profile.load(settings.profile).label_names
        async with store(settings) as database:
            dataset, keys = await exchange.take_out(database, known)
        if images is not None:
            blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
            await exchange.save_images(blobs, keys, images)
        writer.write(dataset, path)
        boxes = sum(len(p.boxes) for p in dataset.pictures)
        return {"path": str(path), "frames": len(dataset.pictures), "boxes": boxes}

    with plain_errors(FormatError, ProfileError, BlobError):
        done = asyncio.run(work(load(data=data, profile=profile_name)))
    result(done, as_json, f"{path}: {done['frames']} frames, {done['boxes']} boxes")
