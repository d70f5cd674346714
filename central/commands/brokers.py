"""``broker``: set one up for the nodes, check it, and let others look on."""

from __future__ import annotations

import asyncio
import getpass
import os
import pwd
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from central import mosquitto
from central.broker import BrokerError
from central.commands.common import CommandError, Data, Json, fail, load, plain_errors, result, store
from central.commands.nodes import FOLDERS
from central.enrol import lockout, nodes
from central.enrol.authority import AuthorityError, open_authority
from central.enrol.lockout import Place
from central.mosquitto import Listener, RulesError
from central.settings import Settings
from central.store.models import Setting
from protocols import topics

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The broker.")


def _owner(folder: Path, user: str) -> None:
    """Give `folder` to `user`, so that the broker may read its key. Raises CommandError."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CommandError(f"--user {user}: no such user on this machine") from None
    if os.geteuid() == 0:
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    elif entry.pw_uid != os.geteuid():
        raise CommandError(f"--user {user}: only root can give the files to another user")


async def _configure(settings: Settings, folder: Path, place: Place, hosts: list[str], bind: str, user: str) -> None:
    authority = open_authority(settings.data)
    async with store(settings, make=True) as database, database.write() as session:
        row = await session.get(Setting, FOLDERS)
        known = [text for text in (row.value if row is not None else []) if text != str(folder)]
        await session.merge(Setting(key=FOLDERS, value=[str(folder), *known]))
        out = await nodes.shut_out(session)
    lockout.prepare(folder, authority, place, hosts)
    lockout.write(folder, place.prefix, out, authority)
    text = mosquitto.settings(folder, [Listener(place.port, bind, tls=True)], user)
    lockout.put(folder / mosquitto.CONFIG, text)
    authority.centre()


@app.command()
def config(
    kind: Annotated[str, typer.Argument(help="mosquitto.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it becomes the broker's own.")],
    host: Annotated[list[str], typer.Option(help="Name or address by which nodes reach it; may be given again.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that it listens on.")] = 8883,
    bind: Annotated[str, typer.Option(help="Address to listen on; every interface where empty.")] = "",
    user: Annotated[str | None, typer.Option(help="User that it runs as; you where absent.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write the configuration of a broker: TLS with client certificates, access rules, revocation, persistence, limits.

    Example: wayside-central broker config mosquitto --out /etc/mosquitto/wayside --host broker.example --user mosquitto
    """
    if kind != "mosquitto":
        fail(f"{kind}: only mosquitto's can be written; docs/brokers.md has recipes for others")
    folder = out.expanduser().absolute()
    with plain_errors(AuthorityError, RulesError, topics.TopicError):
        settings = load(data=data)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _owner(folder, user or getpass.getuser())
        place = Place(host[0], port, settings.prefix)
        asyncio.run(_configure(settings, folder, place, host, bind, user or getpass.getuser()))
    value = {"folder": str(folder), "config": str(folder / mosquitto.CONFIG), "url": f"mqtts://{host[0]}:{port}"}
    result(value, as_json, f"start: mosquitto -c {value['config']}\nthe centre: --broker-url {value['url']}")


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="Folder that 'broker config' wrote.")]) -> None:
    """Check the files of a broker before it starts: Mosquitto itself would start with empty access rules, too.

    Example: wayside-central broker check /etc/mosquitto/wayside
    """
    needed = [mosquitto.CONFIG, mosquitto.RULES, mosquitto.REVOKED, "ca.pem", "server.pem", "server.key"]
    with plain_errors(RulesError, BrokerError):
        for name in needed:
            if not (folder / name).read_text(encoding="utf-8").strip():
                raise BrokerError(f"{folder / name}: is empty; write it again with 'broker config'")
        mosquitto.check_rules((folder / mosquitto.RULES).read_text(encoding="utf-8"), str(folder / mosquitto.RULES))
    result({}, False, f"{folder}: complete" + ("" if shutil.which("mosquitto") else ", but mosquitto is not installed"))


@app.command()
def watcher(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("watch.pem"),
    number: Annotated[int, typer.Option(min=0, max=mosquitto.WATCHERS - 1, help="Each connection needs its own.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a certificate that may read status, health and events of every node, and nothing else.

    Example: wayside-central broker watcher --out watch.pem
    """
    name = mosquitto.watcher_names()[number]
    with plain_errors(AuthorityError):
        authority = open_authority(load(data=data).data)
        issued = authority.issue_watcher(number)
        lockout.put(out, issued.key + issued.certificate + authority.pem)
    value: dict[str, Any] = {"name": name, "file": str(out), "expires": issued.expires.isoformat()}
    result(value, as_json, f"{out}: mosquitto_sub --cafile {out} --cert {out} --key {out} -t 'wayside/v1/+/status' ...")
