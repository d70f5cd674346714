"""The topic tree ``{prefix}/{node}/{channel}[/{camera}]``: build, parse, subscriptions.

One table, ``CHANNELS``, says for each channel who publishes it, what it carries, how it is encoded and
whether the broker retains it. Everything else (subscriptions, and who may do what) is derived from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from protocols import messages as m

DEFAULT_PREFIX: Final = "wayside/v1"
_IDENTITY = re.compile(m.IDENTITY)
_PREFIX = re.compile(r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,7}$")

Sender = Literal["node", "centre"]
Encoding = Literal["json", "msgpack"]


class TopicError(ValueError):
    """A topic, prefix or identity that is not of the agreed form."""


@dataclass(frozen=True)
class Channel:
    """One kind of traffic between a node and the centre."""

    name: str
    sender: Sender
    message: type[m.Message]
    encoding: Encoding
    retained: bool = False
    per_camera: bool = False


CHANNELS: Final[dict[str, Channel]] = {
    c.name: c
    for c in (
        Channel("status", "node", m.Status, "json", retained=True),
        Channel("health", "node", m.Health, "json"),
        Channel("events", "node", m.Event, "json", per_camera=True),
        Channel("frames", "node", m.FrameMessage, "msgpack"),
        Channel("fetch", "node", m.Fetch, "msgpack"),
        Channel("update", "node", m.Update, "json"),
        Channel("reply", "node", m.Reply, "json"),
        Channel("receipts", "centre", m.Receipt, "msgpack"),
        Channel("chunks", "centre", m.Chunk, "msgpack"),
        Channel("policy", "centre", m.Policy, "json", retained=True),
        Channel("release", "centre", m.Release, "json", retained=True),
        Channel("command", "centre", m.Command, "json"),
    )
}


class Address(NamedTuple):
    """What a topic says: which node, which channel, which camera (empty unless per camera)."""

    node: str
    channel: str
    camera: str


def check_prefix(prefix: str) -> str:
    """Return `prefix`, or raise TopicError unless it is one to eight plain levels."""
    if not _PREFIX.fullmatch(prefix):
        raise TopicError(f"topic prefix {prefix!r}: use letters, digits, '_', '.', '-' and single slashes")
    return prefix


def check_identity(name: str) -> str:
    """Return `name`, or raise TopicError unless it may stand in a topic level."""
    if not _IDENTITY.fullmatch(name):
        rule = "use 1 to 64 letters, digits, '_', '.' or '-', beginning with a letter or digit"
        raise TopicError(f"name {name!r}: {rule}")
    return name


def build(prefix: str, node: str, channel: str, camera: str = "") -> str:
    """Return the topic of `channel` of `node`. `camera` is required exactly where the channel is per camera."""
    spec = CHANNELS.get(channel)
    if spec is None:
        raise TopicError(f"channel {channel!r} does not exist; channels: {', '.join(CHANNELS)}")
    if spec.per_camera != bool(camera):
        raise TopicError(f"channel {channel!r} {'needs' if spec.per_camera else 'has no'} camera level")
    topic = f"{check_prefix(prefix)}/{check_identity(node)}/{channel}"
    return f"{topic}/{check_identity(camera)}" if camera else topic


def parse(prefix: str, topic: str) -> Address:
    """Return what `topic` says, or raise TopicError where it is not a topic of ours."""
    head = check_prefix(prefix) + "/"
    if not topic.startswith(head):
        raise TopicError(f"topic {topic[:200]!r} is not under {prefix!r}")
    levels = topic[len(head) :].split("/")
    if len(levels) not in (2, 3):
        raise TopicError(f"topic {topic[:200]!r} has {len(levels)} levels under its prefix, not 2 or 3")
    node, channel, camera = levels[0], levels[1], levels[2] if len(levels) == 3 else ""
    build(prefix, node, channel, camera)
    return Address(node, channel, camera)


def subscriptions(prefix: str, role: Sender, node: str = "+") -> list[str]:
    """Return the filters that `role` listens to: a node only its own topics, the centre those of every node."""
    check_prefix(prefix)
    if role == "node":
        check_identity(node)
    other: Sender = "centre" if role == "node" else "node"
    return [
        f"{prefix}/{node}/{c.name}" + ("/+" if c.per_camera else "")
        for c in CHANNELS.values()
        if c.sender == other
    ]
