"""``release``: packs to the nodes."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated, Any

import typer

from central.commands.common import Data, Json, load, plain_errors, result, store
from central.releases import held, offers, registry
from central.releases.offers import ReleaseError
from central.releases.shelf import share
from central.settings import Settings
from central.store.blobs import BlobError
from central.store.database import Database
from edge.runtime import packs
from protocols.pack import PackError


async def address(database: Database, settings: Settings, text: str) -> str:
    """Return the address of the pack that `text` names, registered where it is a file. Raises PackError."""
    known = await registry.resolve(database, text)
    if known is not None:
        return known
    settings.packs.mkdir(parents=True, exist_ok=True)
    opened = await asyncio.to_thread(packs.find, text, settings.packs)
    kept = await registry.register(database, settings.packs, opened)
    await share(settings.blob_url, settings.packs, kept)
    return kept.address


def release(
    pack: Annotated[str, typer.Argument(help="A registered pack's address or name, a folder, a .wpack file, or base.")],
    notes: Annotated[str, typer.Option(help="What the nodes' people should know.")] = "",
    override: Annotated[
        str, typer.Option(help="Why it must run although a gate of its round speaks against it; written down.")
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Offer a pack to every node. A centre that runs tells them within seconds; else it does when it starts.

    Example: wayside-central release base --notes "back to the first one"
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database:
            known = await address(database, settings, pack)
            if override:
                await held.override(database, known, getpass.getuser()[:64], override)
            made = await offers.create(database, known, getpass.getuser()[:64], notes)
        return {"number": made.number, "pack": made.pack, "name": made.name, "at": made.at.isoformat()}

    with plain_errors(PackError, ReleaseError, BlobError, held.HeldError):
        done = asyncio.run(work(load(data=data)))
    result(done, as_json, f"release {done['number']}: {done['name']} ({done['pack'][:12]})")
