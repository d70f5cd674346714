"""Access rules for a NATS server that carries our MQTT, from the one table of channels (`protocols.topics`).

NATS has no pattern for the name of who connects, so every node has an entry of its own; `/` of a topic is `.` there,
and a name with a dot in it would be two levels, so such a node cannot be let in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from central.embedded import CENTRE
from protocols import topics
from protocols.topics import CHANNELS, Channel, Sender

SESSIONS: Final = "$MQTT.>"
"""Where NATS keeps what it delivers at QoS 1; whoever subscribes needs it."""


def _subject(prefix: str, node: str, channel: Channel) -> str:
    return ".".join([*prefix.split("/"), node, channel.name] + (["*"] if channel.per_camera else []))


def _user(prefix: str, name: str, password: str) -> dict[str, Any]:
    centre = name == CENTRE
    side: Sender = "centre" if centre else "node"
    node = "*" if centre else topics.check_identity(name)
    if "." in f"{prefix}{'' if centre else name}":
        raise topics.TopicError(f"{name}: NATS takes a dot in a name or prefix for a level of the topic")
    mine = [_subject(prefix, node, c) for c in CHANNELS.values() if c.sender == side]
    theirs = [_subject(prefix, node, c) for c in CHANNELS.values() if c.sender != side]
    return {"user": name, "password": password, "permissions": {"publish": mine, "subscribe": [*theirs, SESSIONS]}}


def authorization(prefix: str, logins: Mapping[str, str]) -> dict[str, Any]:
    """Return the part ``authorization`` of a NATS server's settings for the names and passwords of `logins`, one of
    which is the centre's. Whoever is not in it does not get in. Raises TopicError."""
    topics.check_prefix(prefix)
    return {"users": [_user(prefix, name, password) for name, password in sorted(logins.items())]}
