"""``webhook``: places that are told of changes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, get_args

import typer
from sqlalchemy import select

from central.api import webhooks
from central.api.schemas import EventKind
from central.api.webhooks import HookError, Hooks
from central.commands.common import CommandError, Data, Json, drop, load, plain_errors, result, store
from central.settings import Settings
from central.store.models import Webhook

KINDS = get_args(EventKind)
BY = "command line"
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Places that are told of changes.")
Number = Annotated[int, typer.Argument(min=1, max=2**31, help="As 'webhook list' shows it.")]


def _view(row: Webhook) -> dict[str, Any]:
    names = ("id", "url", "kinds", "by", "created", "told_at", "outcome")
    return {name: getattr(row, name) for name in names}


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="http:// or https://; its host must be in WAYSIDE_WEBHOOK_HOSTS.")],
    kind: Annotated[list[str], typer.Option(help=f"{', '.join(KINDS)}; may be given more than once.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell a place of changes, and show once the secret that signs what it is sent. A centre that runs follows at once.

    Example: wayside-central webhook add https://hooks.example/wayside --kind round --kind release
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database, database.write() as session:
            row = await webhooks.add(session, url, kind, BY, settings.webhook_hosts)
            return {**_view(row), "secret": row.secret}

    with plain_errors(HookError):
        strange = [one for one in kind if one not in KINDS]
        if strange:
            raise CommandError(f"kind {strange[0]!r} does not exist; kinds: {', '.join(KINDS)}")
        made = asyncio.run(work(load(data=data)))
    result(made, as_json, f"webhook {made['id']}; its secret, shown this once:\n{made['secret']}")


@app.command("list")
def list_webhooks(data: Data = None, as_json: Json = False) -> None:
    """List the places, and how the last call to each went.

    Example: wayside-central webhook list
    """

    async def work(settings: Settings) -> list[dict[str, Any]]:
        async with store(settings) as database, database.read() as session:
            return [_view(row) for row in await session.scalars(select(Webhook).order_by(Webhook.id))]

    with plain_errors():
        rows = asyncio.run(work(load(data=data)))
    lines = (f"{r['id']:>4}  {r['url']}  {','.join(r['kinds'])}  {r['outcome'] or 'not told yet'}" for r in rows)
    result({"webhooks": rows}, as_json, "\n".join(lines))


@app.command()
def remove(number: Number, data: Data = None, as_json: Json = False) -> None:
    """Tell a place no more. Status 1 where there is none of this number.

    Example: wayside-central webhook remove 2
    """

    with plain_errors():
        there = asyncio.run(drop(load(data=data), Webhook, number))
    result(
        {"id": number, "removed": there}, as_json, f"webhook {number} {'is told no more' if there else 'is not there'}"
    )
    raise typer.Exit(0 if there else 1)


@app.command()
def test(number: Number, data: Data = None, as_json: Json = False) -> None:
    """Tell a place of nothing, now, and say how that went. Status 1 unless it answered with success.

    Example: wayside-central webhook test 2
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database:
            row = await Hooks(database, settings.webhook_hosts).test(number)
        if row is None:
            raise CommandError(f"no webhook {number}; see: wayside-central webhook list")
        return _view(row)

    with plain_errors():
        told = asyncio.run(work(load(data=data)))
    result(told, as_json, f"webhook {number}: {told['outcome']}")
    raise typer.Exit(0 if told["outcome"].startswith("answered 2") else 1)
