"""The embedded broker: amqtt in a process of its own, for one machine. ``python -m central.embedded --help``.

It serves until its standard input ends, so it never outlives the centre that started it. On loopback nobody gets in
without a password from the credentials file; a second listener, by TLS, lets in whoever has a certificate of the
centre's authority, as whom that names. Everybody sees only the topics of their role (`allowed`), and who was shut out
is thrown out within seconds.

Traps of amqtt 0.12 that this file works around, seen in its source; tests cover those that can hurt under our rules:
- Its own access plugins suspend while it walks its table of subscriptions, so a client that subscribes meanwhile ends
  the walk with an error and the others miss the message. `_topic_filtering` here answers without suspending.
- It ends the session of whoever has the same client id before it asks for a login, and hands a kept session, with its
  certificate, to whoever names it. `_initialize_client_session` touches nobody's session; `_authenticate` does, once it
  knows who is there. No session outlives its connection.
- It applies no access rule to a last will. Here a will outside the rules is refused at the connection.
- It greets every client with the retained messages of everybody's subscriptions, subscribed or not, and stumbles when
  somebody subscribes meanwhile. `_publish_retained_messages_for_subscription` keeps to the client's own.
- It formats whole payloads into debug texts, also when nobody reads them; `_Payload` has a short one.
- It gives up on a subscriber that does not acknowledge within five seconds, keeps retained messages in memory only, and
  does not enforce the keep-alive. Receipts, publishing again after a reconnect, and the centre's own silence limit make
  that harmless.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import logging
import secrets
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session

from protocols import topics

CENTRE: Final = "@centre"
"""User name of the centre; no node can have it, as identities begin with a letter or digit."""
WATCH: Final = "@watch"
"""User name of whoever only looks on: operators' tools, home automation."""
WATCHED: Final = ("status", "health", "events")
DISCOVERY: Final = "homeassistant"
"""First level of the topics where home automation looks for devices."""
CONNECT_S: Final = 10.0
"""For the first packet of a connection."""
SWEEP_S: Final = 1.0
"""Between looks for sessions of nodes that were shut out."""
REVOKED: Final = "revoked.json"
FAILED: Final = 3
"""Exit status where the broker could not start; the reason is the last line of standard error."""


def allowed(prefix: str, user: str, topic: str, action: str) -> bool:
    """Say whether `user` may ``publish``, ``receive`` or ``subscribe`` (then `topic` is a filter) below `prefix`."""
    role: topics.Sender = "centre" if user == CENTRE else "node"
    if user == WATCH:
        return action != "publish" and _watched(prefix, topic)
    if role == "centre" and action == "publish" and _announces(topic):
        return True
    try:
        if action == "subscribe":
            return topic in topics.subscriptions(prefix, role, "+" if role == "centre" else user)
        address = topics.parse(prefix, topic)
    except topics.TopicError:
        return False
    sends = topics.CHANNELS[address.channel].sender == role
    return sends == (action == "publish") and (role == "centre" or address.node == user)


def _announces(topic: str) -> bool:
    """Whether `topic` is one where a device is announced to home automation."""
    levels = topic.split("/")
    return len(levels) == 4 and [*levels[:2], levels[3]] == [DISCOVERY, "device", "config"]


def _watched(prefix: str, topic: str) -> bool:
    """Whether `topic`, or a filter, is of what may be looked on at."""
    if topic == f"{DISCOVERY}/device/+/config" or _announces(topic):
        return True
    levels = topic.removeprefix(f"{prefix}/").split("/")
    return topic.startswith(f"{prefix}/") and len(levels) in (2, 3) and levels[1] in WATCHED and "#" not in levels


@dataclass(frozen=True)
class Revoked:
    """Who was shut out: nodes by name, and certificates by serial number in hexadecimal."""

    names: frozenset[str] = frozenset()
    serials: frozenset[str] = frozenset()


def read_revoked(path: Path) -> Revoked:
    """Return what the file says; nobody where there is none. Raises ValueError where it is damaged."""
    try:
        held = json.loads(path.read_text())
        return Revoked(frozenset(map(str, held["names"])), frozenset(map(str, held["serials"])))
    except FileNotFoundError:
        return Revoked()
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{path}: is damaged") from None


class Gatekeeper:
    """Who was shut out, read again when the file changes. A file that is damaged changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path, self._stamp, self.revoked = path, -1, read_revoked(path)

    def look(self) -> bool:
        """Read the file where it changed; whether it did."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp == self._stamp:
                return False
            self.revoked, self._stamp = read_revoked(self._path), stamp
        except (OSError, ValueError):
            return False
        return True

    def refuses(self, user: str, serial: str) -> bool:
        """Whether `user`, with the certificate `serial` (empty: a password), is shut out."""
        return user in self.revoked.names or (bool(serial) and serial in self.revoked.serials)


def shown(session: Session) -> tuple[str, str]:
    """Return name and serial number of the certificate that `session` showed; empty where it came with a password."""
    certificate: dict[str, Any] = (session.ssl_object.getpeercert() if session.ssl_object else None) or {}
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return (names[0], f"{int(certificate['serialNumber'], 16):x}") if len(names) == 1 else ("", "")


class Credentials:
    """The passwords by user, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path, self._stamp, self._passwords = path, 0, dict[str, str]()

    def check(self, user: str | None, password: str | None) -> bool:
        """Say whether `password` is the one of `user`. Takes the same time for every wrong one."""
        stamp = self._path.stat().st_mtime_ns
        if stamp != self._stamp:
            self._passwords = {str(k): str(v) for k, v in json.loads(self._path.read_text()).items()}
            self._stamp = stamp
        expected = self._passwords.get(user or "", "")
        return bool(expected) and hmac.compare_digest(expected.encode(), (password or "").encode())


class _Payload(bytes):
    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@dataclass(frozen=True)
class TlsListener:
    """Where to serve enrolled nodes: address, port, and the folder with ca.pem, server.pem and server.key."""

    bind: str
    folder: Path

    def config(self) -> ListenerConfig:
        """Return it as the library takes it."""
        files = {"cafile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"}
        return ListenerConfig(bind=self.bind, ssl=True, **{k: self.folder / name for k, name in files.items()})


class EmbeddedBroker(Broker):  # type: ignore[misc]
    """amqtt's broker with our users and our rules."""

    def __init__(
        self, port: int, prefix: str, credentials: Credentials, gatekeeper: Gatekeeper, tls: TlsListener | None = None
    ) -> None:
        """Serve loopback `port`, and `tls`."""
        listeners = {"default": ListenerConfig(bind=f"127.0.0.1:{port}"), **({"tls": tls.config()} if tls else {})}
        super().__init__(BrokerConfig(listeners=listeners, plugins={}))
        self._prefix, self._credentials, self._gatekeeper = prefix, credentials, gatekeeper

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context = Broker._create_ssl_context(listener)
        context.verify_mode, context.minimum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
        assert isinstance(context, ssl.SSLContext)
        return context

    async def _initialize_client_session(
        self, reader: Any, writer: Any, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        first = BrokerProtocolHandler.init_from_connect(reader, writer, self.plugins_manager)
        try:
            handler, session = await asyncio.wait_for(first, CONNECT_S)
        except (MQTTError, NoDataError, TimeoutError) as error:
            await writer.close()
            raise AMQTTError(str(error)) from error
        session.clean_session, session.parent = True, 0
        session.client_id = session.client_id or secrets.token_hex(8)
        return handler, session

    def _login(self, session: Session) -> str | None:
        """Return as whom `session` is in, None where it is not."""
        serial = ""
        user = session.username or ""
        if session.ssl_object is not None:
            user, serial = shown(session)
            known = bool(user)
        else:
            known = self._credentials.check(user, session.password)
        self._gatekeeper.look()
        if not known or self._gatekeeper.refuses(user, serial):
            self.logger.warning("refused a login as %r", user[:80])
            return None
        if session.will_flag and not allowed(self._prefix, user, session.will_topic or "", "publish"):
            self.logger.warning("refused the last will of %r", user[:80])
            return None
        return user

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        user = self._login(session)
        if user is None:
            session.client_id = secrets.token_hex(8)  # else it would take the place of whoever has the one it named
            asyncio.get_running_loop().call_later(CONNECT_S, self._sessions.pop, session.client_id, None)
            return False
        session.username = user
        if session.ssl_object is not None:
            session.client_id = user
        await self._cleanup_session(session.client_id or "")
        return True

    async def sweep(self) -> None:
        """Throw out whoever was shut out since, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if not self._gatekeeper.look():
                continue
            for client, (session, _) in list(self._sessions.items()):
                if self._gatekeeper.refuses(session.username or "", shown(session)[1]):
                    session.will_flag = False
                    await self._cleanup_session(client)

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        return allowed(self._prefix, session.username or "", topic, action.value)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        if any(held.client_id == session.client_id for held, _ in self._subscriptions.get(subscription[0], [])):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def _broadcast_message(
        self, session: Session | None, topic: str | None, data: bytes | bytearray | None, force_qos: int | None = None
    ) -> None:
        await super()._broadcast_message(session, topic, _Payload(data or b""), force_qos)


async def _parent_gone() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def serve(port: int, prefix: str, credentials: Path, tls: TlsListener | None = None) -> int:
    """Serve until standard input ends. Returns the exit status."""
    try:
        gatekeeper = Gatekeeper(credentials.with_name(REVOKED))
        broker = EmbeddedBroker(port, prefix, Credentials(credentials), gatekeeper, tls)
        await broker.start()
    except Exception as error:  # noqa: BLE001
        # A process boundary: whatever the library raised, the centre wants one line.
        print(str(error)[:300], file=sys.stderr)
        return FAILED
    sweep = asyncio.create_task(broker.sweep())
    await _parent_gone()
    sweep.cancel()
    await broker.shutdown()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m central.embedded",
        description="Serve MQTT 3.1.1 until standard input ends. "
        "Example: python -m central.embedded --port 1883 --credentials broker/users.json",
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1, for logins with a password")
    parser.add_argument("--credentials", type=Path, required=True, help="JSON file: user to password")
    parser.add_argument("--prefix", default=topics.DEFAULT_PREFIX, help="first levels of every topic")
    parser.add_argument("--tls", metavar="ADDRESS:PORT", help="where to serve nodes with certificates")
    parser.add_argument("--tls-folder", type=Path, help="folder of ca.pem, server.pem and server.key")
    options: Any = parser.parse_args(argv)
    if options.tls and not options.tls_folder:
        parser.error("--tls needs --tls-folder")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    tls = TlsListener(options.tls, options.tls_folder) if options.tls else None
    return asyncio.run(serve(options.port, topics.check_prefix(options.prefix), options.credentials, tls))


if __name__ == "__main__":
    sys.exit(main())
