"""``node``: who they are, who may connect, and who may not any more."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from central.api import views
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, say, store
from central.enrol import lockout, nodes
from central.enrol.authority import Authority, AuthorityError, open_authority
from central.enrol.lockout import Outcome, Place
from central.enrol.nodes import EnrolError
from central.link import LinkError, parse_url
from central.releases import signing
from central.settings import Settings
from central.store.database import Database
from central.store.models import Node, Setting
from protocols import enrolment, topics
from protocols.enrolment import Enrolment
from protocols.trust import TrustError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The nodes.")
FOLDERS = "broker.folders"
"""Setting: folders that `broker config` wrote."""
Name = Annotated[str, typer.Argument(help="Name of the node: letters, digits, _ . -")]


async def folders(database: Database, settings: Settings) -> list[Path]:
    """Return the folders of brokers that know nodes by certificate: those that were configured, and our own."""
    async with database.read() as session:
        row = await session.get(Setting, FOLDERS)
    known = [Path(text) for text in (row.value if row is not None else [])]
    return [*known, *(f for f in [settings.data / "broker"] if lockout.place_of(f) is not None)]


async def lock_out(database: Database, settings: Settings, whom: Sequence[str]) -> list[Outcome]:
    """Shut `whom` out of every broker that is known here."""
    authority = open_authority(settings.data)
    async with database.read() as session:
        out = await nodes.shut_out(session)
    return [
        await asyncio.to_thread(lockout.shut_out, folder, authority, out, whom)
        for folder in await folders(database, settings)
    ]


def place_from(text: str, prefix: str) -> Place:
    """Return the place that ``HOST[:PORT]`` names. Raises CommandError."""
    try:
        address = parse_url(f"mqtts://{text}")
    except LinkError:
        raise CommandError(f"--broker {text}: write HOST or HOST:PORT") from None
    return Place(address.host, address.port, prefix)


async def find_place(database: Database, settings: Settings, broker: str | None) -> Place:
    """Return where nodes find their broker: as said, as the settings say, or as one was set up. Raises CommandError."""
    if broker:
        return place_from(broker, settings.prefix)
    if settings.broker_url is not None:
        address = parse_url(settings.broker_url.get_secret_value())
        if address.tls:
            return Place(address.host, address.port, settings.prefix)
    for folder in await folders(database, settings):
        place = lockout.place_of(folder)
        if place is not None:
            return place
    raise CommandError(
        "no broker that nodes could reach by TLS is known here; start the centre with --broker-tls-port 8883, set one "
        "up with 'broker config', or say --broker HOST:PORT"
    )


def _write(file: Path, text: str, replace: bool) -> None:
    """Write the enrolment, which nobody else may read. Raises CommandError, OSError."""
    if file.exists() and not replace:
        raise CommandError(f"{file}: exists; choose another name with --out")
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, enrolment.MODE)
    with os.fdopen(handle, "w", encoding="utf-8") as open_file:
        open_file.write(text)
        open_file.flush()
        os.fsync(open_file.fileno())


def _told(outcomes: Sequence[Outcome]) -> bool:
    """Say what became of each broker; whether all went well."""
    for outcome in outcomes:
        if outcome.problem:
            say(f"{outcome.folder}: {outcome.problem}")
    return all(not outcome.problem or "next start" in outcome.problem for outcome in outcomes)


def _plain(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [{"folder": o.folder, "reloaded": o.reloaded, "ended": o.ended, "problem": o.problem} for o in outcomes]


@app.command()
def add(
    name: Name,
    site: Annotated[str, typer.Option(help="District that it belongs to.")] = "default",
    out: Annotated[Path | None, typer.Option(help="File to write; NAME.wnode where absent.")] = None,
    broker: Annotated[str | None, typer.Option(help="HOST[:PORT] of the broker, as the node reaches it.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="A new file; whoever has the old one is out.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Enrol a node: make the one file that it starts from. The file holds a key; carry it like one.

    Example: wayside-central node add gate-1 --site north
    """

    async def work(settings: Settings, authority: Authority) -> tuple[Path, dict[str, Any]]:
        async with store(settings, make=True) as database:
            place = await find_place(database, settings, broker)
            file = out or Path(f"{topics.check_identity(name)}{enrolment.SUFFIX}")
            async with database.write() as session:
                renewed = bool(await nodes.active(session, name))
                issued = await nodes.add(session, authority, name, site, replace)
                root = json.loads(await asyncio.to_thread(signing.newest_root, settings.data))
                told = Enrolment(
                    node=name, site=site, host=place.host, port=place.port, prefix=place.prefix, root=root
                )
                _write(file, enrolment.render(told, issued.key, issued.certificate, authority.pem), replace)
            outcomes = await lock_out(database, settings, [name]) if renewed else []
        value = {
            "node": name, "site": site, "file": str(file), "broker": f"{place.host}:{place.port}",
            "serial": issued.serial, "expires": issued.expires.isoformat(), "brokers": _plain(outcomes),
        }  # fmt: skip
        _told(outcomes)
        return file, value

    with plain_errors(EnrolError, AuthorityError, LinkError, topics.TopicError, TrustError):
        settings = load(data=data)
        file, value = asyncio.run(work(settings, open_authority(settings.data)))
    result(value, as_json, f"{file}: start the node with wayside-edge run --enrol {file}")


@app.command()
def revoke(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Shut a node out: its certificate is refused, its session ends, what it sends is not taken.

    Status 1 where a broker has to be reloaded by somebody else.

    Example: wayside-central node revoke gate-1
    """

    async def work(settings: Settings) -> tuple[list[str], list[Outcome]]:
        async with store(settings) as database:
            async with database.write() as session:
                serials = await nodes.revoke(session, name)
            return serials, await lock_out(database, settings, [name])

    with plain_errors(EnrolError, AuthorityError, topics.TopicError):
        serials, outcomes = asyncio.run(work(load(data=data)))
    good = _told(outcomes)
    result({"node": name, "revoked": serials, "brokers": _plain(outcomes), "ok": good}, as_json, f"{name}: revoked")
    if not good:
        raise typer.Exit(1)


@app.command("list")
def list_nodes(data: Data = None, as_json: Json = False) -> None:
    """List the nodes, what they run, and who may connect.

    Example: wayside-central node list --json
    """

    async def work(settings: Settings) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
        query = select(Node).order_by(Node.site, Node.name).options(selectinload(Node.cameras))
        async with store(settings) as database, database.read() as session:
            seen = [views.node(row).model_dump(mode="json") for row in await session.scalars(query)]
            return seen, await nodes.listing(session)

    with plain_errors(CommandError):
        found, enrolled = asyncio.run(work(load(data=data)))
    for node in found:
        node["enrolment"] = enrolled.get(node["node"])
    unseen = {name: held for name, held in enrolled.items() if name not in {n["node"] for n in found}}
    lines = [
        f"{n['site']:<16} {n['node']:<24} {n['state']:<8} {(n['pack'] or '-')[:12]:<12} {len(n['cameras'])} cameras"
        + (f", {n['enrolment']['state']}" if n["enrolment"] else "")
        for n in found
    ]
    lines += [f"{held['site']:<16} {name:<24} {'unseen':<8} {held['state']}" for name, held in unseen.items()]
    result({"nodes": found, "unseen": unseen}, as_json, "\n".join(lines) or "no node yet")
