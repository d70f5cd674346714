"""The MQTT broker that the centre uses: one that the user gives, else Mosquitto, else the embedded one.

    broker_url given          -> used as it is ("given")
    mosquitto on the PATH     -> a subprocess of ours ("mosquitto")
    else                      -> amqtt in a subprocess of ours ("embedded")

A broker of ours listens on loopback, where nobody gets in without a password that was drawn for them, and, where that
is asked for, on every interface by TLS for nodes that were enrolled. It shows every node only its own topics, ends with
the centre however the centre ends, and is started again when it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import structlog

from central import mosquitto
from central.embedded import CENTRE
from central.enrol import lockout
from central.enrol.authority import CA, Authority, AuthorityError, open_authority
from central.enrol.lockout import Place
from central.enrol.nodes import ShutOut
from central.link import BrokerAddress, parse_url
from central.mosquitto import Listener
from protocols import files, topics

log = structlog.get_logger("central.broker")

Kind = Literal["given", "mosquitto", "embedded"]

HOST: Final = "127.0.0.1"
EVERYWHERE: Final = "0.0.0.0"
START_S: Final = 20.0
"""Until a broker of ours accepts connections; Python on a busy small machine needs seconds."""
STOP_S: Final = 5.0
PORT_S: Final = 3.0
"""Until a port that is taken counts as taken: the broker of a centre that was just killed needs a moment to end."""
RESTART_S: Final = 1.0
"""Pause before a broker that died is started again."""
USERS: Final = "users.json"
NOBODY: Final = ShutOut()
find_mosquitto = mosquitto.find


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


@dataclass(frozen=True)
class Tls:
    """Where a broker of ours serves enrolled nodes: its port, the names by which they reach it, and who signs."""

    authority: Authority
    port: int
    hosts: tuple[str, ...]
    bind: str = EVERYWHERE


def free_port(port: int, host: str = HOST, option: str = "--broker-port") -> int:
    """Return `port`, or a free one for 0. Raises BrokerError where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BrokerError(
                f"broker: port {port} on {host} cannot be used ({error.strerror}); stop what listens there, or choose "
                f"another one with {option}"
            ) from None
        return int(probe.getsockname()[1])


class Broker:
    """A broker that runs, or one that was given."""

    def __init__(
        self, kind: Kind, centre: BrokerAddress, folder: Path | None, prefix: str, tls: Tls | None = None
    ) -> None:
        self.kind, self.centre = kind, centre
        """`centre` is the address with the centre's own login."""
        self.tls = tls
        self.out = ShutOut()
        """Who is not let in."""
        self.server = 0
        """Number of this server among those that show certificates."""
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
            self._reload()
        return BrokerAddress(self.host, self.port, name, self._users[name])

    def shut_out(self, out: ShutOut) -> None:
        """Let nobody in who is in `out`. Does nothing where that is so already, or for a given broker. Raises
        OSError."""
        if self._folder is None or out == self.out:
            return
        self.out = out
        for name in out.names:
            self._users.pop(name, None)
        self._write_users()
        self._reload()

    def _reload(self) -> None:
        """Let a Mosquitto of ours read its files again; the embedded broker looks by itself."""
        if self.kind == "mosquitto" and self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    def worker(self, number: int) -> BrokerAddress:
        """Return the address with the login of this server's worker `number` (from 1): by certificate each connection
        needs a name of its own. Raises AuthorityError, OSError."""
        if self.kind == "given" and self.centre.certificate is not None:
            number += self.server * mosquitto.PER_SERVER
            certificate, key = open_authority(self.centre.certificate.parents[1]).centre(number)
            return replace(self.centre, certificate=certificate, key=key)
        return self.centre

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
        self._prepare_tls()
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

    def _prepare_tls(self) -> None:
        if self.tls is None or self._folder is None:
            return
        place = Place(self.tls.hosts[0], self.tls.port, self._prefix, kind=self.kind)
        try:
            lockout.prepare(self._folder, self.tls.authority, place, self.tls.hosts)
        except AuthorityError as error:
            raise BrokerError(f"broker: {error}") from None

    def _write_users(self) -> None:
        assert self._folder is not None
        if self.kind == "mosquitto":
            lines = "".join(f"{user}:{mosquitto.password(p)}\n" for user, p in self._users.items())
            files.write_atomic(self._folder / "passwords", lines.encode(), 0o600)
            listeners = [Listener(self.port, HOST)]
            if self.tls is not None:
                listeners.append(Listener(self.tls.port, self.tls.bind, tls=True))
            config = mosquitto.settings(self._folder, listeners)
            files.write_atomic(self._folder / mosquitto.CONFIG, config.encode(), 0o600)
        lockout.write(self._folder, self._prefix, self.out, self.tls.authority if self.tls else None)
        files.write_atomic(self._folder / USERS, json.dumps(self._users, indent=1).encode(), 0o600)

    def _command(self) -> list[str]:
        assert self._folder is not None
        if self.kind == "embedded":
            module = [sys.executable, "-m", "central.embedded", "--port", str(self.port), "--prefix", self._prefix]
            if self.tls is not None:
                module += ["--tls", f"{self.tls.bind}:{self.tls.port}", "--tls-folder", str(self._folder)]
            return [*module, "--credentials", str(self._folder / USERS)]
        try:
            mosquitto.check_rules((self._folder / mosquitto.RULES).read_text(), str(self._folder / mosquitto.RULES))
        except (OSError, mosquitto.RulesError) as error:
            raise BrokerError(f"broker: {error}") from None
        # Mosquitto does not notice that its parent died; the shell beside it does, by the end of the pipe.
        script = 'exec 3<&0; (cat <&3 >/dev/null; kill $$) & exec "$0" -c "$1"'
        return ["sh", "-c", script, find_mosquitto() or "mosquitto", str(self._folder / mosquitto.CONFIG)]

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


def given(settings: BrokerSettings) -> Broker:
    """Return the broker that `settings` name. By TLS and without a user name in the URL, the centre shows the
    certificate of its own authority, and trusts only that one. Raises LinkError, BrokerError."""
    text = settings.broker_url if isinstance(settings.broker_url, str) else settings.broker_url.get_secret_value()
    address, server = parse_url(text), getattr(settings, "server_number", 0)
    if address.tls and not address.username:
        try:
            authority = open_authority(settings.data)
            certificate, key = authority.centre(server * mosquitto.PER_SERVER)
        except (AuthorityError, OSError) as error:
            raise BrokerError(f"broker: {error}") from None
        address = replace(address, ca=authority.folder / CA, certificate=certificate, key=key)
    found = Broker("given", address, None, settings.prefix)
    found.server = server
    return found


async def start_broker(settings: BrokerSettings, out: ShutOut = NOBODY) -> Broker:
    """Return the broker that `settings` ask for, serving, without those who are shut `out`. Raises BrokerError or
    LinkError with one clear line."""
    if settings.broker_url is not None:
        return given(settings)
    kind: Kind = "mosquitto" if find_mosquitto() else "embedded"
    tls = None
    port = getattr(settings, "broker_tls_port", None)
    if port is not None:
        hosts = tuple(h.strip() for h in getattr(settings, "broker_hosts", "").split(",") if h.strip())
        try:
            tls = Tls(open_authority(settings.data), port, hosts or (socket.gethostname(),))
        except (AuthorityError, OSError) as error:
            raise BrokerError(f"broker: {error}") from None
    return await start_own(kind, settings.data / "broker", settings.broker_port, settings.prefix, tls, out)


async def start_own(
    kind: Kind,
    folder: Path,
    port: int,
    prefix: str = topics.DEFAULT_PREFIX,
    tls: Tls | None = None,
    out: ShutOut = NOBODY,
) -> Broker:
    """Start a broker of ours on loopback `port` (0: a free one), and by `tls` where that is given, with its files in
    `folder`. Raises BrokerError."""
    port = await _wait_port(port, HOST, "--broker-port")
    if tls is not None:
        tls = replace(tls, port=await _wait_port(tls.port, tls.bind, "--broker-tls-port"))
    broker = Broker(kind, BrokerAddress(HOST, port), folder, prefix, tls)
    broker.out = out
    await broker.start()
    return broker


async def _wait_port(port: int, host: str, option: str) -> int:
    deadline = asyncio.get_running_loop().time() + PORT_S
    while True:
        try:
            return free_port(port, host, option)
        except BrokerError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.1)
