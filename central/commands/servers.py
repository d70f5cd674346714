"""``servers``: which servers a centre has, and who does what for all."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import typer

from central.commands.common import Data, Json, load, plain_errors, result, say, store
from central.servers.duties import BEAT_S
from central.servers.roll import roll
from central.settings import Settings
from central.store.database import Database
from central.store.models import Duty, Server

LOOK_S: Final = 2 * BEAT_S + 1.0
"""Seconds between two looks: whoever lives has beaten meanwhile, whatever clocks say."""


async def _look(database: Database) -> tuple[list[tuple[Server, list[Duty]]], list[str]]:
    async with database.read() as session:
        return await roll(session)


async def _work(settings: Settings, wait: float) -> dict[str, Any]:
    async with store(settings) as database:
        before = {row.id: (row.run, row.beat) for row, _ in (await _look(database))[0]}
        await asyncio.sleep(wait if before else 0.0)
        rows, free = await _look(database)
    items = [
        {
            "id": row.id, "name": row.name, "version": row.version, "started": row.started,
            "state": row.state if before.get(row.id) != (row.run, row.beat) else "gone",
            "duties": [duty.name for duty in held],
        }
        for row, held in rows
    ]  # fmt: skip
    return {"servers": items, "free": free}


def servers(
    wait: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds to look whether each one lives.")] = LOOK_S,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the servers of this centre, which of them live, and which background work each does for all. Exit status 1
    where one is gone, or work is done by nobody.

    Example: WAYSIDE_DATABASE_URL=postgresql://... wayside-central servers
    """
    with plain_errors():
        settings = load(data=data)
        if settings.database_url is None:
            say("the database is a file of one server; give WAYSIDE_DATABASE_URL where there are several")
        found = asyncio.run(_work(settings, wait))
    lines = [
        f"{one['name']:<32} {one['version']:<12} {one['state']:<9} since {one['started']:%Y-%m-%d %H:%M:%S} UTC  "
        f"{', '.join(one['duties']) or '-'}"
        for one in found["servers"]
    ]
    lines += [f"done by nobody: {', '.join(found['free'])}"] if found["free"] else []
    result(found, as_json, "\n".join(lines) or "no servers")
    if found["free"] or any(one["state"] == "gone" for one in found["servers"]):
        raise typer.Exit(1)
