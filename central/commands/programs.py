"""``token``: ways in for programs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from sqlalchemy import select

from central.api import programs
from central.api.access import least
from central.api.passwords import UserError
from central.api.programs import MAX_DAYS, MAX_NAME, ProgramError
from central.api.schemas import ROLES, Role
from central.commands.common import CommandError, Data, Json, drop, load, plain_errors, result, store
from central.settings import Settings
from central.store.models import ApiToken, SiteRole, User

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Ways in for programs.")


def _role(text: str) -> Role:
    for role in ROLES:
        if text == role:
            return role
    raise CommandError(f"role {text!r} does not exist; roles: {', '.join(ROLES)}")


def _view(row: ApiToken) -> dict[str, Any]:
    names = ("id", "user", "name", "role", "created", "expires")
    return {name: getattr(row, name) for name in names}


@app.command()
def add(
    user: Annotated[str, typer.Argument(help="Whom it acts for.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[
        str, typer.Option(help="The most that it may do: viewer, annotator, engineer or admin.")
    ] = "viewer",
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="Days after which it ends.")] = 90,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a token for a program, and show it once. It may do what its person may, and --role at most.

    Example: wayside-central token add maria "nightly export" --role viewer --days 365
    """

    async def work(settings: Settings) -> dict[str, Any]:
        async with store(settings) as database, database.write() as session:
            person = await session.get(User, user)
            if person is None:
                raise ProgramError(f"no user {user!r}; see: wayside-central user list")
            sites = await session.scalars(select(SiteRole.role).where(SiteRole.user == user))
            highest = max((_role(person.role), *map(_role, sites)), key=ROLES.index)
            row, token = await programs.add(session, user, name, least(_role(role), highest), days)
            return {**_view(row), "token": token}

    with plain_errors(ProgramError, UserError):
        if not 1 <= len(name) <= MAX_NAME:
            raise CommandError(f"say what it is for in 1 to {MAX_NAME} characters")
        _role(role)
        made = asyncio.run(work(load(data=data)))
    text = f"token {made['id']} of {user} ({made['role']}) until {made['expires']:%Y-%m-%d}, shown this once:"
    result(made, as_json, f"{text}\n{made['token']}")


@app.command("list")
def list_tokens(data: Data = None, as_json: Json = False) -> None:
    """List the tokens, without what opens anything.

    Example: wayside-central token list --json
    """

    async def work(settings: Settings) -> list[dict[str, Any]]:
        async with store(settings) as database, database.read() as session:
            return [_view(row) for row in await session.scalars(select(ApiToken).order_by(ApiToken.id))]

    with plain_errors():
        rows = asyncio.run(work(load(data=data)))
    lines = (f"{r['id']:>4}  {r['user']:<20} {r['role']:<10} {r['expires']:%Y-%m-%d}  {r['name']}" for r in rows)
    result({"tokens": rows}, as_json, "\n".join(lines))


@app.command()
def revoke(
    number: Annotated[int, typer.Argument(min=1, max=2**31, help="As 'token list' shows it.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """End a token, at once. Status 1 where there is none of this number.

    Example: wayside-central token revoke 3
    """

    with plain_errors():
        there = asyncio.run(drop(load(data=data), ApiToken, number))
    result({"id": number, "revoked": there}, as_json, f"token {number} {'ends' if there else 'is not there'}")
    raise typer.Exit(0 if there else 1)
