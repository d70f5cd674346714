"""``round``, ``evaluate``, ``annotate`` and ``train``: learning in the foreground.

What they need is imported when they run.
"""

from __future__ import annotations

import asyncio
import getpass
import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy import select, update

from central.commands.common import CommandError, Data, Json, load, plain_errors, result, say, store
from central.jobs import rounds
from central.jobs.rounds import RoundBusyError
from central.settings import Settings
from central.store.blobs import BlobError
from central.store.database import Database
from central.store.models import Round
from protocols.messages import utc_now
from protocols.pack import PackError

PASS_ON: dict[str, Any] = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""Context settings of a command whose options another module knows."""
LAST = "last"
STARTING = timedelta(minutes=2)
"""Until then a round of the server may be on its way into its process."""
train = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train one part of the model.")


def delegate(context: typer.Context, place: str, program: str) -> None:
    """Run the command function at `place` (``module:name``) with the arguments that `context` was given."""
    module, _, name = place.partition(":")
    try:
        function: Callable[..., None] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        with plain_errors():
            raise CommandError(f"{program}: {error.name} is not installed; pip install 'wayside[central]'") from None
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(function)
    app(args=context.args, prog_name=f"wayside-central {program}")


def evaluate(context: typer.Context) -> None:
    """Measure a pack on labelled images: COCO AP, by size, class and camera.

    Example: wayside-central evaluate --pack base --images street/images --coco street/val.json
    """
    delegate(context, "central.learn.detect.evaluate_command:evaluate_command", "evaluate")


def evaluate_blur(context: typer.Context) -> None:
    """Measure how a measure of sharpness orders pictures, or pairs that people compared.

    Example: wayside-central evaluate-blur order.txt --pack base --json
    """
    delegate(context, "central.learn.blur.evaluate_command:evaluate_blur", "evaluate-blur")


def annotate(context: typer.Context) -> None:
    """Let a teacher propose labels, for a folder of images or for the frames that wait for review.

    Example: wayside-central annotate --teacher pack --model base --images frames --out proposals.json
    """
    delegate(context, "central.learn.teachers.command:annotate_command", "annotate")


@train.command("detect", context_settings=PASS_ON)
def train_detect(context: typer.Context) -> None:
    """Train a detector from COCO files.

    Example: wayside-central train detect --train train.json:images --val val.json:images --out runs/first
    """
    delegate(context, "central.learn.detect.command:train_detect", "train detect")


def evaluate_tags(context: typer.Context) -> None:
    """Measure a pack's tags: mAP, precision, recall and F1, per tag.

    Example: wayside-central evaluate-tags --pack base --truth street/val.json --images street/images
    """
    delegate(context, "central.learn.tags.evaluate_command:evaluate_tags", "evaluate-tags")


@train.command("tags", context_settings=PASS_ON)
def train_tags(context: typer.Context) -> None:
    """Train tags from partial labels: what people answered at a centre, or files.

    Example: wayside-central train tags --data /var/lib/wayside --out runs/tags --propose
    """
    delegate(context, "central.learn.tags.command:train_tags", "train tags")


def evaluate_discovery(context: typer.Context) -> None:
    """Measure a run of discovery: CorLoc, AP50, and the IoU of outlines.

    Example: wayside-central evaluate-discovery --run runs/found --images street/images --coco street/val.json
    """
    delegate(context, "central.learn.discover.evaluate_command:evaluate_discovery", "evaluate-discovery")


@train.command("discover", context_settings=PASS_ON)
def train_discover(context: typer.Context) -> None:
    """Find the objects that tags speak of: boxes and outlines from image-level labels.

    Example: wayside-central train discover --train tags.csv:images --out runs/found --masks grabcut
    """
    delegate(context, "central.learn.discover.command:train_discover", "train discover")


@train.command("blend", context_settings=PASS_ON)
def train_blend(context: typer.Context) -> None:
    """Take a run's weights part of the way back to what it started from.

    Example: wayside-central train blend runs/site --with base --share 0.5
    """
    delegate(context, "central.learn.detect.blend:train_blend", "train blend")


@train.command("blur", context_settings=PASS_ON)
def train_blur(context: typer.Context) -> None:
    """Teach the blur head of a run from images without labels.

    Example: wayside-central train blur runs/first --images frames/
    """
    delegate(context, "central.learn.blur.command:train_blur", "train blur")


@train.command("ssl", context_settings=PASS_ON)
def train_ssl(context: typer.Context) -> None:
    """Learn from frames without labels: image and object together, or any pretexts by weight.

    Example: wayside-central train ssl --images frames --video junction.mp4 --out runs/ssl
    """
    delegate(context, "central.learn.ssl.command:train_ssl", "train ssl")


async def _change(database: Database, round_id: str, values: dict[str, Any]) -> None:
    async with database.write() as session:
        await session.execute(update(Round).where(Round.id == round_id).values(**values))


async def _begin(database: Database, settings: Settings, options: dict[str, Any]) -> str:
    """Add a new round, in place of one that was ended and that nobody works on, and return its id."""
    since = utc_now() - STARTING
    async with database.read() as session:
        query = select(Round.id).where(Round.state.not_in(rounds.OVER), Round.started < since)
        left = list(await session.scalars(query))
    for old in left:
        if rounds.idle(settings.data / "rounds" / old, wait_s=0.0):
            say(f"round {old} was ended before it was done; 'round --resume {old}' goes on with it")
            await _change(
                database, old, {"state": "failed", "detail": "ended before it was done", "finished": utc_now()}
            )
    async with database.write() as session:
        round_id = (await rounds.create(session, getpass.getuser()[:64], options)).id
    await _change(database, round_id, {"started": utc_now()})
    return round_id


async def _again(database: Database, wanted: str) -> tuple[str, dict[str, Any]]:
    """Return id and options of the round `wanted` (``last``: the last one that is not done). Raises CommandError."""
    async with database.read() as session:
        query = select(Round).where(Round.state != "done").order_by(Round.created.desc(), Round.id.desc()).limit(1)
        row = (await session.scalars(query)).first() if wanted == LAST else await session.get(Round, wanted)
    if row is None:
        raise CommandError(f"no round {'that was ended before it was done' if wanted == LAST else wanted}")
    if row.state == "done":
        raise CommandError(f"round {wanted} is done; there is nothing to go on with")
    change = {"state": "queued", "starts": row.starts + 1, "finished": None, "detail": "going on where it was ended"}
    await _change(database, row.id, change)
    return row.id, dict(row.options)


async def _round(settings: Settings, options: dict[str, Any], resume: str | None) -> tuple[str, dict[str, Any]]:
    """Run a round in this process, its row kept as if it ran at the server. Returns its id and result."""
    console = Console(stderr=True, highlight=False)
    async with store(settings) as database:
        if resume is None:
            round_id = await _begin(database, settings, options)
        else:
            round_id, options = await _again(database, resume)
        loop = asyncio.get_running_loop()

        def report(step: dict[str, Any]) -> None:
            values = rounds.columns(step)
            if values:
                asyncio.run_coroutine_threadsafe(_change(database, round_id, values), loop).result()
            share = f"{step.get('progress', 0.0):.0%}"
            console.print(f"{round_id} {step.get('state', '')} {share} {step.get('detail', '')}", markup=False)

        # A process boundary: whatever ends the round must be written to its row before it is told.
        try:
            done = await asyncio.to_thread(rounds.run, str(settings.data), round_id, options, report)
        except BaseException as error:
            why = str(error) or type(error).__name__
            await _change(database, round_id, rounds.ending({"state": "failed", "detail": why}))
            raise
        await _change(database, round_id, rounds.ending({"state": "done", "result": done}))
        return round_id, done


def round_(
    epochs: Annotated[int | None, typer.Option(min=1, max=1000, help="Passes over the data.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="How it is kept from forgetting: finetune, replay, distil, replay-distil (default), low-rank, joint."
        ),
    ] = None,
    memory: Annotated[int | None, typer.Option(min=0, help="Most frames of the past that it learns from.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Learn even though nothing is new.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            help="Where it starts: auto (the most similar pack), base, a pack's address or path, or a .safetensors "
            "checkpoint of a backbone; else from the pack that runs."
        ),
    ] = None,
    update_: Annotated[
        str | None,
        typer.Option("--update", help="What learns: all, heads, norms or low-rank: the less, the smaller the update."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with a round that was killed: its id, or 'last'; other options are its own."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Learn from all labels so far: snapshot, training, export, evaluation, report. Nothing is released by it.

    Exit status 1: a gate speaks against its pack, and only an override would release it.

    Example: wayside-central round --epochs 4 --json
    """
    given = {
        "epochs": epochs,
        "strategy": strategy,
        "memory_frames": memory,
        "again": again or None,
        "start": start,
        "update": update_,
    }
    options = {name: value for name, value in given.items() if value is not None}
    with plain_errors(RoundBusyError, PackError, BlobError, ValueError, RuntimeError, ImportError):
        settings = load(data=data)
        round_id, done = asyncio.run(_round(settings, options, resume))
    report = settings.data / "rounds" / round_id / "report.html"
    say(f"round {round_id}: {done['verdict']}")
    say(f"report {report}")
    for row in done.get("similarity") or []:
        alike = "  -  " if row["likeness"] is None else f"{row['likeness']:.3f}"
        say(f"  {alike}  {row['pack'][:12]}  {row['reason']}")
    result({"round": round_id, **done, "report": str(report)}, as_json, f"pack {done['pack']}")
    if not done["offered"]:
        raise typer.Exit(1)
