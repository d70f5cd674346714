"""The folder of a broker: what it trusts, whom it refuses; and how somebody is shut out of one that runs.

    prepare    ca.pem, server.pem, server.key, broker.json (where it is, and its prefix)
    write      crl.pem (certificates), rules (names), revoked.json (both, for the embedded broker)
    shut_out   1. certificates refused, reload   2. the live session ends, as the centre takes its place for a moment
               3. names denied, reload           4. once more, for whoever came back between 1 and 2

A reload of Mosquitto leaves sessions alone; a second connection of the same client ends the first, in every broker that
takes the client id from the certificate. The certificate for that lives minutes and is never written outside the
authority's folder.
"""

from __future__ import annotations

import json
import os
import ssl
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from central import embedded, mosquitto
from central.enrol.authority import CA, KICK_LIFETIME, Authority
from central.enrol.nodes import ShutOut
from protocols import codec, files, topics
from protocols.messages import Status

PLACE: Final = "broker.json"
KICK_S: Final = 5.0
"""For taking over one session; the four steps together stay far below a minute."""
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
"""Names that every broker's certificate has, for the centre beside it."""


@dataclass(frozen=True)
class Place:
    """Where the broker of a folder is reached by TLS, and the topics that it serves."""

    host: str
    port: int
    prefix: str
    local: bool = True
    """Whether it runs on this machine, so that loopback reaches it as well."""
    kind: str = "mosquitto"


@dataclass(frozen=True)
class Outcome:
    """What became of shutting somebody out of one broker."""

    folder: str
    reloaded: bool
    ended: bool
    """Whether their sessions were taken over and ended."""
    problem: str = ""


def put(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file of a broker's folder; written by root, it belongs to whom the folder does. Raises OSError."""
    files.write_atomic(path, text.encode(), mode)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def prepare(folder: Path, authority: Authority, place: Place, hosts: Sequence[str]) -> None:
    """Write what a broker that is reached as `hosts` needs for TLS. Raises AuthorityError, OSError."""
    issued = authority.issue_server([*hosts, *(h for h in ALWAYS if h not in hosts)])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    put(folder / CA, authority.pem, 0o644)
    put(folder / "server.key", issued.key)
    put(folder / "server.pem", issued.certificate, 0o644)
    put(folder / PLACE, json.dumps(asdict(place)), 0o644)


def place_of(folder: Path) -> Place | None:
    """Return where the broker of `folder` is, None where it serves nobody by TLS or the file is damaged."""
    try:
        held = json.loads((folder / PLACE).read_text())
        prefix = topics.check_prefix(held["prefix"])
        return Place(str(held["host"]), int(held["port"]), prefix, bool(held["local"]), str(held["kind"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(folder: Path, prefix: str, out: ShutOut, authority: Authority | None, *, deny: bool = True) -> None:
    """Write whom the broker of `folder` refuses; with `deny`, their names as well. Raises OSError."""
    if authority is not None:
        put(folder / mosquitto.REVOKED, authority.revoked(out.serials, datetime.now(UTC)), 0o644)
    if not deny:
        return
    text = mosquitto.rules(prefix, out.names)
    mosquitto.check_rules(text, str(folder / mosquitto.RULES))
    put(folder / mosquitto.RULES, text)
    held = {"names": sorted(out.names), "serials": [serial for serial, _ in out.serials]}
    put(folder / embedded.REVOKED, json.dumps(held))


def shut_out(folder: Path, authority: Authority, out: ShutOut, whom: Sequence[str]) -> Outcome:
    """Shut `whom`, who are in `out`, out of the broker of `folder`. Never raises: the outcome says what went wrong."""
    place = place_of(folder)
    if place is None:
        return Outcome(str(folder), False, False, "no broker was set up here")
    try:
        write(folder, place.prefix, out, authority, deny=place.kind == "embedded")
        if place.kind == "embedded":  # which looks at the file itself, and ends the sessions
            return Outcome(str(folder), True, True)
        runs = mosquitto.reload(folder)
        ended = runs and all([kick(authority, name, place) for name in whom])  # noqa: C419 (everybody, not until one fails)
        write(folder, place.prefix, out, authority)
        if not runs or not mosquitto.reload(folder):
            return Outcome(str(folder), False, False, "it does not run here; it refuses them from its next start")
        for name in whom:
            kick(authority, name, place, farewell=False)
    except PermissionError as error:
        problem = f"not allowed to {'write ' + error.filename if error.filename else 'reload it'}; do it as its user"
        return Outcome(str(folder), False, False, problem)
    except OSError as error:
        return Outcome(str(folder), False, False, f"{error.filename or folder}: {error.strerror or error}")
    return Outcome(str(folder), True, ended, "" if ended else "their sessions could not be ended; they are mute")


def kick(authority: Authority, name: str, place: Place, *, farewell: bool = True) -> bool:
    """End the session of node `name`: take its place, say (retained, with `farewell`) that it is offline, and go.
    Returns whether that worked."""
    host = "127.0.0.1" if place.local else place.host
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False)
    client.connect_timeout = KICK_S
    client.tls_set_context(_context(authority, name))
    answered, said = threading.Event(), threading.Event()
    good: list[bool] = []

    def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        good.append(not reason.is_failure)
        answered.set()

    client.on_connect = connected
    client.on_disconnect = lambda *_: answered.set()
    client.on_publish = lambda *_: said.set()
    try:
        client.connect(host, place.port)
        client.loop_start()
        answered.wait(KICK_S)
        if good == [True] and farewell:
            gone = Status(state="offline", node=name, boot="revoked")
            topic = topics.build(place.prefix, name, "status")
            client.publish(topic, codec.encode("status", gone), qos=1, retain=True)
            said.wait(KICK_S)
        client.disconnect()
    except (OSError, ValueError):
        return False
    finally:
        client.loop_stop()
    return good == [True]


def _context(authority: Authority, name: str) -> ssl.SSLContext:
    issued = authority.issue(name, KICK_LIFETIME)
    context = ssl.create_default_context(cadata=authority.pem)
    with tempfile.NamedTemporaryFile("w", dir=authority.folder, suffix=".pem") as file:  # made with mode 0600
        file.write(issued.key + issued.certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context
