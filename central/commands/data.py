"""``import``, ``export`` and ``data``: data sets into the store and out of it, snapshots, other tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from central.annotate import archive, exchange, formats, images, profile
from central.annotate.exchange import Open, Project
from central.annotate.formats import Dataset, Format, FormatError
from central.annotate.profile import Profile, ProfileError
from central.commands import errands, snapshots
from central.commands.common import Data, Json, load, plain_errors, result, say, store
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError

ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="What the project labels: street, medical, or a YAML file.")
]
FormatArgument = Annotated[
    str, typer.Argument(metavar="FORMAT", help="coco, yolo, voc, cvat, label-studio, datumaro; import: images, dicom.")
]
ImagesOption = Annotated[Path | None, typer.Option(help="Folder that its file names start from.")]
PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A file, a folder or a ZIP file.")]
Window = Annotated[str | None, typer.Option(help="dicom: CENTRE,WIDTH in place of what the files say.")]
CompleteFor = Annotated[
    str | None, typer.Option(help="Labels, with commas, that every image was looked through for; 'all', or 'none'.")
]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Data sets: import, export, snapshots, other tools."
)


def project_of(given: Profile) -> Project:
    """Return what may be labelled as `given` says."""
    return Project(given.label_names, given.tag_names)


def _format(name: str) -> Format:
    kinds = formats.kinds()
    if name not in kinds:
        raise FormatError(f"format {name!r} does not exist; formats: {', '.join((*kinds, *profile_importers()))}")
    return kinds[name]


def profile_importers() -> tuple[str, ...]:
    """Return what can be imported besides formats of labels."""
    return ("images", "dicom")


def _source(
    form: str, path: Path, folder: Path | None, window: str | None, own: Profile, salt: Callable[[], bytes]
) -> tuple[Dataset, Open | None]:
    """Return the data set at `path` and what opens its images."""
    if form in profile_importers():
        from central.annotate import folders

        return folders.scan(form, path, window, own.redaction, salt)
    kind = _format(form)
    beside = [path / name for name in (kind.images or "", "obj_train_data") if name and kind.images]
    place = folder or next((f for f in beside if f.is_dir()), None)
    return kind.read(path), None if place is None else exchange.below(place)


def import_(
    form: FormatArgument,
    path: PathArgument,
    images: ImagesOption = None,
    complete_for: CompleteFor = None,
    window: Window = None,
    data: Data = None,
    profile_name: ProfileOption = None,
    as_json: Json = False,
) -> None:
    """Import labels: with their images as new frames, or for frames that have the same file names. Twice is once.

    Example: wayside-central import coco street/train.json --images street/images
    """
    _import(form, path, images, complete_for, window, data, profile_name, as_json)


@app.command("import")
def data_import(
    path: PathArgument,
    form: Annotated[
        str, typer.Option("--format", help="coco, yolo, voc, cvat, label-studio, datumaro, images, dicom.")
    ],
    images: ImagesOption = None,
    complete_for: CompleteFor = None,
    window: Window = None,
    data: Data = None,
    profile_name: ProfileOption = None,
    as_json: Json = False,
) -> None:
    """Import labels, or folders of images and DICOM files, which wait for review then. Twice is once.

    Of a DICOM file only pixels and a salted hash go in; who the patient is stays in the file.

    Example: wayside-central data import --format dicom scans --profile medical
    """
    _import(form, path, images, complete_for, window, data, profile_name, as_json)


def _import(
    form: str, path: Path, images: Path | None, complete_for: str | None, window: str | None, data: Path | None,
    profile_name: str | None, as_json: bool,
) -> None:  # fmt: skip
    async def work(settings: Settings, place: Path) -> exchange.Imported:
        own = profile.current(settings)
        dataset, opener = _source(form, place, images, window, own, lambda: profile.salt(settings.data))
        dataset = formats.told_complete(dataset, complete_for)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("importing", total=None)
            async with store(settings, make=True) as database:
                blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
                report: exchange.Report = lambda done, every: bar.update(task, completed=done, total=every)  # noqa: E731
                return await exchange.take_in(database, blobs, dataset, opener, project_of(own), "import", report)

    with plain_errors(FormatError, ProfileError, BlobError), ExitStack() as stack:
        place = stack.enter_context(archive.opened(path))
        done = asyncio.run(work(load(data=data, profile=profile_name), place))
    for what, count in sorted(done.left_out.items()):
        say(f"left out: {what} ({count})")
    text = (
        f"{done.frames} new frames, {done.labelled} labelled with {done.boxes} boxes, {done.unmatched} without a frame"
    )
    result(asdict(done), as_json, text)


def export(
    form: FormatArgument,
    path: Annotated[Path, typer.Argument(help="File to write; of yolo, voc and datumaro the folder.")],
    images: Annotated[Path | None, typer.Option(help="Folder to write the images to, too.")] = None,
    with_images: Annotated[bool, typer.Option("--with-images", help="Write them where the format has them.")] = False,
    snapshot: Annotated[str | None, typer.Option(help="Address of a snapshot: the labels as they were then.")] = None,
    data: Data = None,
    profile_name: ProfileOption = None,
    as_json: Json = False,
) -> None:
    """Export every labelled frame, with what it is complete for. What the format has no place for is said.

    Example: wayside-central export yolo street --with-images
    """

    async def work(settings: Settings) -> dict[str, Any]:
        writer = _format(form)
        if with_images and writer.images is None:
            raise FormatError(f"{form} has no folder of its own for images; say where with --images")
        folder = path / str(writer.images) if with_images else images
        async with store(settings) as database:
            project = project_of(profile.current(settings))
            done, keys = await exchange.take_out(database, writer, path, project, snapshot)
        if folder is not None:
            blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
            await images_module.save_images(blobs, keys, folder)
        return {"path": str(path), "frames": done.frames, "boxes": done.boxes, "lost": done.lost}

    with plain_errors(FormatError, ProfileError, BlobError):
        done = asyncio.run(work(load(data=data, profile=profile_name)))
    if done["lost"]:
        say(done["lost"])
    result(done, as_json, f"{path}: {done['frames']} frames, {done['boxes']} boxes")


images_module = images
app.command("export")(export)
app.command("snapshot")(snapshots.take)
app.command("snapshots")(snapshots.listed)
app.command("diff")(snapshots.compare)
app.command("verify")(snapshots.verify)
app.command("push")(errands.push)
app.command("pull")(errands.pull)
