"""``user``: who may log in."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer
from sqlalchemy import delete, select

from central.api import passwords
from central.api.passwords import UserError
from central.api.schemas import ROLES, Role
from central.commands.common import Data, Json, load, plain_errors, result, store
from central.settings import Settings
from central.store.models import ApiToken, User

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may log in.")
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def _choose(name: str, from_stdin: bool) -> tuple[str, bool]:
    """Return the password, and whether we made it. Raises UserError."""
    passwords.check_name(name)
    if not from_stdin:
        return passwords.one_time(), True
    return passwords.check_password(sys.stdin.readline().rstrip("\r\n"), name), False


def _told(name: str, role: str, password: str, made: bool, as_json: bool) -> None:
    value: dict[str, Any] = {"name": name, "role": role, "password": password if made else None}
    result(value, as_json, f"{name} ({role})" + (f", password {password} (shown this once)" if made else ""))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name to log in with.")],
    role: Annotated[str, typer.Option(help="viewer, annotator, engineer or admin.")] = "annotator",
    password_stdin: FromStdin = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Add somebody, with a random password that is shown once, or one from standard input.

    Example: wayside-central user add maria --role annotator
    """

    async def work(settings: Settings, password: str) -> None:
        hashed = await passwords.hash_password(password)
        async with store(settings, make=True) as database, database.write() as session:
            await passwords.add(session, name, _role(role), hashed)

    with plain_errors(UserError):
        settings = load(data=data)
        _role(role)
        password, made = _choose(name, password_stdin)
        asyncio.run(work(settings, password))
    _told(name, role, password, made, as_json)


def _role(text: str) -> Role:
    for role in ROLES:
        if text == role:
            return role
    raise UserError(f"role {text!r} does not exist; roles: {', '.join(ROLES)}")


@app.command()
def reset(
    name: Annotated[str, typer.Argument(help="Who forgot the password.")],
    password_stdin: FromStdin = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give somebody another password; every session of theirs ends, and every token.

    Example: wayside-central user reset maria
    """

    async def work(settings: Settings, password: str) -> str:
        hashed = await passwords.hash_password(password)
        async with store(settings) as database, database.write() as session:
            await passwords.set_password(session, name, hashed)
            await session.execute(delete(ApiToken).where(ApiToken.user == name))
            return (await session.get_one(User, name)).role

    with plain_errors(UserError):
        settings = load(data=data)
        password, made = _choose(name, password_stdin)
        role = asyncio.run(work(settings, password))
    _told(name, role, password, made, as_json)


@app.command("list")
def list_users(data: Data = None, as_json: Json = False) -> None:
    """List who may log in.

    Example: wayside-central user list --json
    """

    async def work(settings: Settings) -> list[dict[str, Any]]:
        async with store(settings) as database, database.read() as session:
            rows = await session.scalars(select(User).order_by(User.name))
            return [{"name": u.name, "role": u.role, "disabled": u.disabled} for u in rows]

    with plain_errors():
        users = asyncio.run(work(load(data=data)))
    result({"users": users}, as_json, "\n".join(f"{u['name']:<24} {u['role']}" for u in users))
