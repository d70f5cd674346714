"""The MQTT broker that the centre uses: one that the user gives, else Mosquitto, else the embedded one.

    broker_url given          -> used as it is ("given")
    mosquitto on the PATH     -> a subprocess of ours ("mosquitto")
    else                      -> amqtt in a subprocess of ours ("embedded")

A broker of ours listens on loopback only, lets nobody in without a password that was drawn for them, shows every node
only its own topics, ends with the centre however the centre ends, and is started again when it dies.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import structlog

from central.embedded import CENTRE
from central.link import BrokerAddress, parse_url
from protocols import codec, files, topics

log = structlog.get_logger("central.broker")

Kind = Literal["given", "mosquitto", "embedded"]

HOST: Final = "127.0.0.1"
START_S: Final = 20.0
"""Until a broker of ours accepts connections; Python on a busy small machine needs seconds."""
STOP_S: Final = 5.0
PORT_S: Final = 3.0
"""Until a port that is taken counts as taken: the broker of a centre that was just killed needs a moment to end."""
RESTART_S: Final = 1.0
"""Pause before a broker that died is started again."""
ITERATIONS: Final = 101
"""PBKDF2 rounds of Mosquitto's password file. Passwords are 256 random bits, so stretching them adds nothing."""
SBIN: Final = ("/usr/sbin", "/usr/local/sbin")
"""Where distributions put daemons, often left out of the PATH of ordinary users."""
USERS: Final = "users.json"


class BrokerError(Exception):
    """A broker that cannot be started. The text says why and what to do."""


class BrokerSettings(Protocol):
    """What of the centre's settings matters here."""

    @property
    def data(self) -> Path:
        """Data folder of the centre."""
        ...

    @property
    def broker_url(self) -> Any:
        """URL of a given broker (text or a secret), or None."""
        ...

    @property
    def broker_port(self) -> int:
        """Loopback port of a broker of ours; 0 chooses a free one."""
        ...

    @property
    def prefix(self) -> str:
        """First levels of every topic."""
        ...


def mosquitto_rules(prefix: str) -> str:
    """Return Mosquitto's access rules: the centre by name, every node by its own user name."""
    lines = [f"user {CENTRE}"]
    for channel in topics.CHANNELS.values():
        tail = f"{channel.name}/+" if channel.per_camera else channel.name
        lines.append(f"topic {'write' if channel.sender == 'centre' else 'read'} {prefix}/+/{tail}")
    for channel in topics.CHANNELS.values():
        tail = f"{channel.name}/+" if channel.per_camera else channel.name
        lines.append(f"pattern {'write' if channel.sender == 'node' else 'read'} {prefix}/%u/{tail}")
    return "\n".join(lines) + "\n"


def mosquitto_password(password: str) -> str:
    """Return `password` as Mosquitto 2 keeps it: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def mosquitto_config(port: int, folder: Path) -> str:
    """Return the configuration of a Mosquitto that listens on loopback `port` and keeps its files in `folder`."""
    user = pwd.getpwuid(os.getuid()).pw_name
    return "\n".join(
        (
            f"listener {port} {HOST}",
            "allow_anonymous false",
            f"password_file {folder / 'passwords'}",
            f"acl_file {folder / 'rules'}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 60",
            f"message_size_limit {max(codec.LIMITS.values())}",
            "max_queued_messages 1000",
            "max_queued_bytes 67108864",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            f"user {user}",  # else a Mosquitto started by root becomes another user, who may not read these files
            "",
        )
    )


def find_mosquitto() -> str | None:
    """Return the path of Mosquitto, or None."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SBIN))
    return shutil.which("mosquitto", path=path)


def free_port(port: int) -> int:
    """Return `port`, or a free one for 0. Raises BrokerError where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                f"broker: port {port} on {HOST} cannot be used ({error.strerror}); stop what listens there, or choose "
                "another one with --broker-port"
            ) from None
        return int(probe.getsockname()[1])


class Broker:
    """A broker that runs, or one that was given."""

    def __init__(self, kind: Kind, centre: BrokerAddress, folder: Path | None, prefix: str) -> None:
        self.kind, self.centre = kind, centre
        """`centre` is the address with the centre's own login."""
        self._folder, self._prefix = folder, prefix
        self._users: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def host(self) -> str:
        """Name or address that it listens on."""
        return self.centre.host

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return self.centre.port

    @property
    def pid(self) -> int | None:
        """Process of a broker of ours."""
        return self._process.pid if self._process is not None else None

    def node(self, name: str) -> BrokerAddress:
        """Return the address with the login of node `name`, drawn on first use. For a given broker, whose users are not
        ours, that is the centre's own. Raises TopicError where `name` cannot be a node's."""
        if self._folder is None:
            return self.centre
        topics.check_identity(name)
        if name not in self._users:
            self._users[name] = secrets.token_urlsafe(32)
            self._write_users()
            if self.kind == "mosquitto" and self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGHUP)  # read the password file again
        return BrokerAddress(self.host, self.port, name, self._users[name])

    async def stop(self) -> None:
        """End a broker of ours. Safe to call twice."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        await self._end()

    async def start(self) -> None:
        """Start a broker of ours and wait until it serves. Raises BrokerError."""
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._read_users()
        self._write_users()
        await self._spawn()
        self._watch = asyncio.create_task(self._keep(), name="broker")

    def _read_users(self) -> None:
        assert self._folder is not None
        path = self._folder / USERS
        if path.exists():
            try:
                self._users = {str(k): str(v) for k, v in json.loads(path.read_text()).items()}
            except (ValueError, AttributeError):
                raise BrokerError(f"broker: {path} is damaged; delete it, and restart the nodes") from None
        self._users.setdefault(CENTRE, secrets.token_urlsafe(32))
        self.centre = BrokerAddress(self.host, self.port, CENTRE, self._users[CENTRE])

    def _write_users(self) -> None:
        assert self._folder is not None
        if self.kind == "mosquitto":
            lines = "".join(f"{user}:{mosquitto_password(p)}\n" for user, p in self._users.items())
            files.write_atomic(self._folder / "passwords", lines.encode(), 0o600)
            files.write_atomic(self._folder / "rules", mosquitto_rules(self._prefix).encode(), 0o600)
            config = mosquitto_config(self.port, self._folder).encode()
            files.write_atomic(self._folder / "mosquitto.conf", config, 0o600)
        files.write_atomic(self._folder / USERS, json.dumps(self._users, indent=1).encode(), 0o600)

    def _command(self) -> list[str]:
        assert self._folder is not None
        if self.kind == "embedded":
            module = [sys.executable, "-m", "central.embedded", "--port", str(self.port), "--prefix", self._prefix]
            return [*module, "--credentials", str(self._folder / USERS)]
        # Mosquitto does not notice that its parent died; the shell beside it does, by the end of the pipe.
        script = 'exec 3<&0; (cat <&3 >/dev/null; kill $$) & exec "$0" -c "$1"'
        return ["sh", "-c", script, find_mosquitto() or "mosquitto", str(self._folder / "mosquitto.conf")]

    async def _spawn(self) -> None:
        assert self._folder is not None
        free_port(self.port)
        # Where the project runs from its source folder, so does the broker, wherever the centre was started.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        with (self._folder / "broker.log").open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(), stdin=asyncio.subprocess.PIPE, stdout=errors, stderr=errors, env=env,
                start_new_session=True,
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_S
        while loop.time() < deadline and self._process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)
        await self._end()
        lines = (self._folder / "broker.log").read_text(errors="replace").strip().splitlines() or ["no reason given"]
        raise BrokerError(f"broker: {self.kind} did not start on port {self.port} ({lines[-1][:200]})")

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            log.warning("the broker ended; starting it again", kind=self.kind, status=self._process.returncode)
            await asyncio.sleep(RESTART_S)
            try:
                await self._spawn()
            except BrokerError as error:
                log.error("the broker does not start", reason=str(error))

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def start_broker(settings: BrokerSettings) -> Broker:
    """Return the broker that `settings` ask for, serving. Raises BrokerError or LinkError with one clear line."""
    if settings.broker_url is not None:
        url = settings.broker_url
        text = url if isinstance(url, str) else url.get_secret_value()
        return Broker("given", parse_url(text), None, settings.prefix)
    kind: Kind = "mosquitto" if find_mosquitto() else "embedded"
    return await start_own(kind, settings.data / "broker", settings.broker_port, settings.prefix)


async def start_own(kind: Kind, folder: Path, port: int, prefix: str = topics.DEFAULT_PREFIX) -> Broker:
    """Start a broker of ours on loopback `port` (0: a free one) with its files in `folder`. Raises BrokerError."""
    broker = Broker(kind, BrokerAddress(HOST, await _wait_port(port)), folder, prefix)
    await broker.start()
    return broker


async def _wait_port(port: int) -> int:
    deadline = asyncio.get_running_loop().time() + PORT_S
    while True:
        try:
            return free_port(port)
        except BrokerError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.1)
