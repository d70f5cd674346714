"""``data push`` and ``data pull``: the queue to another annotation tool, and its answers back."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from central.annotate import errands, profile
from central.annotate.bridges import BridgeError
from central.annotate.errands import Place
from central.annotate.exchange import Project
from central.annotate.formats import FormatError
from central.annotate.profile import ProfileError
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, store
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError

To = Annotated[str, typer.Option("--to", help="label-studio or cvat.")]
From = Annotated[str, typer.Option("--from", help="label-studio or cvat.")]
Url = Annotated[str, typer.Option(help="Where the tool is, for example https://labels.example.")]
TokenFile = Annotated[Path, typer.Option("--token-file", help="File with an access token of it, one line.")]
Python = Annotated[Path, typer.Option(help="Python of an environment with label-studio-sdk or cvat-sdk.")]
MAX_TOKEN = 10_000


def _place(name: str, url: str, token_file: Path, python: Path) -> Place:
    if not url.startswith(("https://", "http://")):
        raise CommandError(f"{url[:100]}: not a URL; give https://HOST")
    if token_file.stat().st_size > MAX_TOKEN:
        raise CommandError(f"{token_file}: more than {MAX_TOKEN} bytes; is it a token?")
    return Place(name, url.rstrip("/"), token_file.read_text(encoding="utf-8").strip(), python)


def _project(settings: Settings) -> Project:
    own = profile.current(settings)
    return Project(own.label_names, own.tag_names)


def push(
    to: To,
    url: Url,
    token_file: TokenFile,
    python: Python,
    limit: Annotated[int, typer.Option(min=1, max=errands.MAX_LENT, help="Frames, the most valuable first.")] = 100,
    title: Annotated[str, typer.Option(max=50, help="What it is called there.")] = "Wayside",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Lend the frames that wait for review to another tool, with their proposals.

    Example: wayside-central data push --to label-studio --url https://ls.example --token-file t --python ls/bin/python
    """

    async def work(settings: Settings) -> tuple[int, int]:
        place = _place(to, url, token_file, python)
        async with store(settings) as database:
            blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
            return await errands.push(database, blobs, place, _project(settings), limit, title)

    with plain_errors(BridgeError, BlobError, ProfileError, UnicodeDecodeError):
        number, frames = asyncio.run(work(load(data=data)))
    result({"errand": number, "frames": frames}, as_json, f"errand {number}: {frames} frames are at {to}")


def pull(
    source: From,
    url: Url,
    token_file: TokenFile,
    python: Python,
    errand: Annotated[int | None, typer.Option(help="Its number; the newest one to that tool, if not given.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take back what was answered there. Frames that were answered here meanwhile keep that answer. Twice is once.

    Example: wayside-central data pull --from cvat --url https://cvat.example --token-file t --python cvat/bin/python
    """

    async def work(settings: Settings) -> errands.Pulled:
        place = _place(source, url, token_file, python)
        async with store(settings) as database:
            return await errands.pull(database, place, _project(settings), source, errand)

    with plain_errors(BridgeError, FormatError, ProfileError, UnicodeDecodeError):
        done = asyncio.run(work(load(data=data)))
    text = f"{done.labelled} frames labelled with {done.boxes} boxes, {done.conflicts} answered here meanwhile"
    result(asdict(done), as_json, text)
