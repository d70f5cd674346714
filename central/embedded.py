"""The embedded broker: amqtt in a process of its own, for one machine. ``python -m central.embedded --help``.

It serves on loopback until its standard input ends, so it never outlives the centre that started it. Nobody gets in
without a password from the credentials file, and everybody sees only the topics of their role (`allowed`).

Traps of amqtt 0.12 that this file works around, seen in its source; tests cover those that can hurt under our rules:
- Its own access plugins suspend while it walks its table of subscriptions, so a client that subscribes meanwhile ends
  the walk with an error and the others miss the message. `_topic_filtering` here answers without suspending.
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
import sys
from pathlib import Path
from typing import Any, Final

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.session import Session

from protocols import topics

CENTRE: Final = "@centre"
"""User name of the centre; no node can have it, as identities begin with a letter or digit."""
FAILED: Final = 3
"""Exit status where the broker could not start; the reason is the last line of standard error."""


def allowed(prefix: str, user: str, topic: str, action: str) -> bool:
    """Say whether `user` may ``publish``, ``receive`` or ``subscribe`` (then `topic` is a filter) below `prefix`."""
    role: topics.Sender = "centre" if user == CENTRE else "node"
    try:
        if action == "subscribe":
            return topic in topics.subscriptions(prefix, role, "+" if role == "centre" else user)
        address = topics.parse(prefix, topic)
    except topics.TopicError:
        return False
    sends = topics.CHANNELS[address.channel].sender == role
    return sends == (action == "publish") and (role == "centre" or address.node == user)


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


class EmbeddedBroker(Broker):  # type: ignore[misc]
    """amqtt's broker with our users and our rules."""

    def __init__(self, port: int, prefix: str, credentials: Credentials) -> None:
        """Serve loopback `port`."""
        listener = ListenerConfig(bind=f"127.0.0.1:{port}")
        super().__init__(BrokerConfig(listeners={"default": listener}, plugins={}))
        self._prefix, self._credentials = prefix, credentials

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        user = session.username or ""
        if not self._credentials.check(user, session.password):
            self.logger.warning("refused a login as %r", user[:80])
            return False
        if session.will_flag and not allowed(self._prefix, user, session.will_topic or "", "publish"):
            self.logger.warning("refused the last will of %r", user[:80])
            return False
        return True

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


async def serve(port: int, prefix: str, credentials: Path) -> int:
    """Serve until standard input ends. Returns the exit status."""
    broker = EmbeddedBroker(port, prefix, Credentials(credentials))
    try:
        await broker.start()
    except Exception as error:  # noqa: BLE001
        # A process boundary: whatever the library raised, the centre wants one line.
        print(str(error)[:300], file=sys.stderr)
        return FAILED
    await _parent_gone()
    await broker.shutdown()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m central.embedded",
        description="Serve MQTT 3.1.1 on loopback until standard input ends. "
        "Example: python -m central.embedded --port 1883 --credentials broker/users.json",
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--credentials", type=Path, required=True, help="JSON file: user to password")
    parser.add_argument("--prefix", default=topics.DEFAULT_PREFIX, help="first levels of every topic")
    options: Any = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    return asyncio.run(serve(options.port, topics.check_prefix(options.prefix), options.credentials))


if __name__ == "__main__":
    sys.exit(main())
