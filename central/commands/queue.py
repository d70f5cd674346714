"""``queue order``, ``propose`` and ``strategies``: by hand what the server does with the queue by itself.

What they need is imported when they run.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from central.annotate import profile
from central.annotate.profile import ProfileError
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, say, store
from central.settings import Settings
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from protocols.slots import SlotError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What waits for review: its order and proposals.")
Project = Annotated[str | None, typer.Option("--profile", help="What the project labels.")]


@app.command("order")
def order_(
    strategy: Annotated[str | None, typer.Option(help="A strategy, or none; else as settings and profile say.")] = None,
    data: Data = None,
    profile_name: Project = None,
    as_json: Json = False,
) -> None:
    """Put the queue in order and think over what to ask about each frame.

    Example: wayside-central queue order --strategy ours
    """
    from central.annotate.asking import order as asking

    async def work(settings: Settings) -> dict[str, Any]:
        project = profile.current(settings)
        chosen = strategy or settings.queue_strategy or project.queue.strategy
        async with store(settings) as database:
            return await asking.order(database, project.label_names, project.tag_names, chosen)

    with plain_errors(ProfileError, SlotError):
        done = asyncio.run(work(load(data=data, profile=profile_name)))
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(done["questions"].items()))
    result(done, as_json, f"{done['frames']} frames by {done['strategy']}, {done['changed']} changed; {kinds}")


@app.command("propose")
def propose(
    data: Data = None,
    profile_name: Project = None,
    every: Annotated[bool, typer.Option("--every", help="Also where the node ran the released pack.")] = False,
    as_json: Json = False,
) -> None:
    """Propose for whatever is new, once, by the sources that the profile names. Status 1 where one cannot be used.

    Example: wayside-central queue propose --every
    """
    from central.annotate.proposers import Desk, job
    from central.releases.offers import newest

    async def work(settings: Settings) -> dict[str, Any]:
        project = profile.current(settings)
        blobs = blob_store.connect(settings.blob_url, settings.data / "blobs")
        async with store(settings) as database:
            async with database.read() as session:
                release = await newest(session)
            folder = None if release is None else settings.packs / release.pack
            wanted = every or settings.propose_every
            desk = Desk(database, blobs, project.label_names, project.tag_names, folder, wanted)
            done, troubles = await job.work(desk, project.proposers, turn=float("inf"))
        blobs.close()
        return {"sources": {name: dict(counts) for name, counts in done.items()}, "troubles": troubles}

    with plain_errors(ProfileError, BlobError, CommandError):
        found = asyncio.run(work(load(data=data, profile=profile_name)))
    counts = (f"{name}: {n['frames']} frames, {n['changed']} changed" for name, n in found["sources"].items())
    for name, text in found["troubles"].items():
        say(f"{name}: {text}")
    result(found, as_json, "\n".join(counts))
    raise typer.Exit(1 if found["troubles"] else 0)


@app.command("strategies")
def strategies(as_json: Json = False) -> None:
    """List the ways to put the queue in order.

    Example: wayside-central queue strategies
    """
    from central.annotate.asking.order import NONE
    from central.learn.acquire import acquisitions

    found = {name: member.about for name, member in sorted(acquisitions().items())}
    found[NONE] = "as nodes valued them"
    result(found, as_json, "\n".join(f"{name:24} {about}" for name, about in found.items()))
