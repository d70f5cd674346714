"""``jobs``: the queue of a centre, looked at and changed beside its server, which notices within seconds."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any, Final

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from central.commands.common import CommandError, Data, Json, load, plain_errors, result, store
from central.jobs import rows
from central.jobs.rounds import FUNCTION as ROUND
from central.jobs.titles import title
from central.settings import Settings
from central.store.models import Job
from protocols.messages import utc_now

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Work in the background: queue, logs, retries.")
Which = Annotated[str, typer.Argument(help="Id of a job, or its first letters, as 'jobs list' shows it.")]
SHOWN: Final = ("id", "kind", "title", "state", "progress", "detail", "by", "attempts", "max_attempts", "place")
SHORT: Final = 8
"""Letters of an id that tell it from others, nearly always."""


def _view(row: Job) -> dict[str, Any]:
    times = {name: getattr(row, name) for name in ("created", "started", "finished")}
    return {**{name: getattr(row, name) for name in SHOWN}, "title": title(row), **times}


async def _find(session: AsyncSession, which: str) -> Job:
    """Return the one job whose id begins with `which`. Raises CommandError."""
    query = select(Job).where(Job.id.startswith(which, autoescape=True)).limit(2)
    found = list(await session.scalars(query))
    if len(found) != 1:
        raise CommandError(f"job {which}: {'several begin so' if found else 'there is none'}; see 'jobs list'")
    return found[0]


@app.command("list")
def list_(
    over: Annotated[int, typer.Option(min=0, max=10_000, help="How many of those that are over, newest first.")] = 20,
    chores: Annotated[bool, typer.Option("--chores", help="Also what the centre does by itself.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List what runs, what waits in its order, and what is over.

    Example: wayside-central jobs list --over 5
    """

    async def work(settings: Settings) -> list[dict[str, Any]]:
        active = select(Job).where(Job.state.in_(rows.LIVE))
        ended = select(Job).where(Job.state.in_(rows.OVER))
        if not chores:
            ended = ended.where((Job.kind != "chore") | (Job.state == "failed"))
        async with store(settings) as database, database.read() as session:
            order = (Job.state.desc(), Job.priority.desc(), Job.created)
            first = [_view(row) for row in await session.scalars(active.order_by(*order))]
            last = ended.order_by(Job.finished.desc()).limit(over)
            return first + [_view(row) for row in await session.scalars(last)]

    with plain_errors():
        found = asyncio.run(work(load(data=data)))
    lines = [
        f"{v['id'][:SHORT]}  {v['state']:9} {v['progress']:4.0%}  {v['title']}" + f": {v['detail']}".rstrip(": ")
        for v in found
    ]
    result({"jobs": found}, as_json, "\n".join(lines) or "no job")


@app.command()
def log(job: Which, data: Data = None, as_json: Json = False) -> None:
    """Print the end of what a job printed.

    Example: wayside-central jobs log 3f2a91c0
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database, database.read() as session:
            row = await _find(session, job)
            return {"id": row.id, "text": await session.scalar(select(Job.log).where(Job.id == row.id))}

    with plain_errors():
        found = asyncio.run(work(load(data=data)))
    if not as_json:
        sys.stdout.write(found["text"])
    result(found, as_json, "")


@app.command()
def cancel(job: Which, data: Data = None, as_json: Json = False) -> None:
    """Take a job out of the queue, or have its server stop it. Status 1 where it is over.

    Example: wayside-central jobs cancel 3f2a91c0
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database, database.write() as session:
            row = await _find(session, job)
            return {"id": row.id, "stopped": await rows.stop(session, row.id, utc_now())}

    with plain_errors():
        found = asyncio.run(work(load(data=data)))
    text = "is stopped, or will be as soon as its server looks" if found["stopped"] else "is over"
    result(found, as_json, f"job {found['id']} {text}")
    raise typer.Exit(0 if found["stopped"] else 1)


@app.command()
def retry(job: Which, data: Data = None, as_json: Json = False) -> None:
    """Queue a job that failed or was cancelled once more. Status 1 where it is neither.

    Example: wayside-central jobs retry 3f2a91c0
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database, database.write() as session:
            row = await _find(session, job)
            if row.function == ROUND:
                raise CommandError(
                    f"job {row.id} is of a round; go on with it by 'round --resume {row.args.get('round_id')}'"
                )
            return {"id": row.id, "queued": await rows.again(session, row.id)}

    with plain_errors():
        found = asyncio.run(work(load(data=data)))
    text = "waits for its turn" if found["queued"] else "did not fail, and was not cancelled"
    result(found, as_json, f"job {found['id']} {text}")
    raise typer.Exit(0 if found["queued"] else 1)
