"""Mosquitto as this project uses it: access rules, configuration, and the folder that holds both.

    rules        who may publish and read what, from the channel table; nodes that were shut out are denied everything
    settings     mosquitto.conf: TLS listener for enrolled nodes, loopback listener with passwords, limits
    reload       tell a running one to read rules and revoked certificates again

Facts that this relies on, each kept by a test on a real Mosquitto
- A file without a rule, a truncated one for instance, is no error to it: it starts, and nothing is carried, or,
  without an ``acl_file``, everything. So such a file is never written, and never started with (`check_rules`).
- ``use_identity_as_username`` takes the name from the certificate, and ``use_username_as_clientid`` the client id from
  that: nobody can take over the session of another.
- A reload reads rules and the list of revoked certificates again, but leaves sessions alone.
- ``topic deny #`` of a user counts before the patterns, and also for the last will.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from central.embedded import CENTRE, DISCOVERY, WATCH, WATCHED
from protocols import codec, topics

RULES: Final = "rules"
REVOKED: Final = "crl.pem"
PID: Final = "mosquitto.pid"
CONFIG: Final = "mosquitto.conf"
ITERATIONS: Final = 101
"""PBKDF2 rounds of Mosquitto's password file. Passwords are 256 random bits, so stretching them adds nothing."""
SBIN: Final = ("/usr/sbin", "/usr/local/sbin")
"""Where distributions put daemons, often left out of the PATH of ordinary users."""
MAX_CONNECTIONS: Final = 20_000
"""Clients of one listener; a fleet, and no more open files than a service may have."""
MAX_INFLIGHT: Final = 256
"""QoS 1 messages to one client at a time; Mosquitto's own 20 would make the centre wait for each round trip."""
MAX_QUEUED: Final = 1000
MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
"""What waits for one client that is slow; beyond it messages are dropped, and nodes send theirs again."""
PER_SERVER: Final = 8
"""Connections of one server that may share the frames."""
SERVERS: Final = 8
WORKERS: Final = PER_SERVER * SERVERS
"""Connections of one centre, each with a name of its own."""
WATCHERS: Final = 8
"""Connections that only look on; each needs a name of its own, as a name is a client id."""


class RulesError(ValueError):
    """Access rules without a rule. The text says where and what to do."""


def centre_names() -> list[str]:
    """Return the names of the centre's connections: the first does everything, the others share the frames."""
    return [CENTRE, *(f"{CENTRE}.{n}" for n in range(1, WORKERS))]


def watcher_names() -> list[str]:
    """Return the names of those who only look on."""
    return [WATCH, *(f"{WATCH}.{n}" for n in range(1, WATCHERS))]


def rules(prefix: str, denied: Iterable[str] = ()) -> str:
    """Return the access rules: the centre and onlookers by name, every node by its own user name, `denied` nodes
    nothing."""
    topics.check_prefix(prefix)
    tails = {c: f"{c.name}/+" if c.per_camera else c.name for c in topics.CHANNELS.values()}
    lines = []
    for name in centre_names():
        lines.append(f"user {name}")
        lines += [f"topic {'write' if c.sender == 'centre' else 'read'} {prefix}/+/{t}" for c, t in tails.items()]
        lines.append(f"topic write {DISCOVERY}/device/+/config")
    for name in watcher_names():
        lines.append(f"user {name}")
        lines += [f"topic read {prefix}/+/{t}" for c, t in tails.items() if c.name in WATCHED]
        lines.append(f"topic read {DISCOVERY}/device/+/config")
    for name in sorted(set(denied)):
        lines += [f"user {topics.check_identity(name)}", "topic deny #"]
    lines += [f"pattern {'write' if c.sender == 'node' else 'read'} {prefix}/%u/{t}" for c, t in tails.items()]
    return "\n".join(lines) + "\n"


def check_rules(text: str, where: str) -> None:
    """Raise RulesError where `text` holds no rule: Mosquitto would start with it all the same."""
    if not any(line.split(" ", 1)[0] in ("topic", "pattern") for line in text.splitlines()):
        raise RulesError(f"{where}: no access rule in it; 'broker config' or a start of the centre makes it anew")


def password(text: str) -> str:
    """Return `text` as Mosquitto 2 keeps passwords: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", text.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@dataclass(frozen=True)
class Listener:
    """Where Mosquitto listens: on loopback with passwords, or by TLS for whoever has a certificate."""

    port: int
    host: str = ""
    """Address to bind; every interface where empty."""
    tls: bool = False


def settings(folder: Path, listeners: Sequence[Listener], user: str = "") -> str:
    """Return the text of mosquitto.conf for a Mosquitto that has all its files in `folder` and runs as `user`."""
    user = user or pwd.getpwuid(os.getuid()).pw_name
    lines = [
        "# Made by Wayside; made anew, it loses what was changed here.",
        f"user {user}",  # else a Mosquitto started by root becomes another user, who may not read these files
        f"pid_file {folder / PID}",
        "allow_anonymous false",
        f"acl_file {folder / RULES}",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 60",
        f"message_size_limit {max(codec.LIMITS.values())}",
        f"max_inflight_messages {MAX_INFLIGHT}",
        f"max_queued_messages {MAX_QUEUED}",
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
    ]
    if any(not listener.tls for listener in listeners):
        lines.append(f"password_file {folder / 'passwords'}")
    for listener in listeners:
        lines += ["", *_listener(folder, listener)]
    return "\n".join((*lines, ""))


def _listener(folder: Path, listener: Listener) -> list[str]:
    lines = [f"listener {listener.port} {listener.host}".rstrip(), f"max_connections {MAX_CONNECTIONS}"]
    if not listener.tls:
        return lines
    return [
        *lines,
        f"cafile {folder / 'ca.pem'}",
        f"certfile {folder / 'server.pem'}",
        f"keyfile {folder / 'server.key'}",
        f"crlfile {folder / REVOKED}",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
    ]


def find() -> str | None:
    """Return the path of Mosquitto, or None."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SBIN))
    return shutil.which("mosquitto", path=path)


def reload(folder: Path) -> bool:
    """Tell the Mosquitto of `folder` to read its files again; False where none runs. Raises PermissionError."""
    try:
        pid = int((folder / PID).read_text())
        name = Path(f"/proc/{pid}/comm").read_text()
    except (OSError, ValueError):
        return False
    if "mosquitto" not in name:  # the number was given to another program since
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
        return True
    return False
