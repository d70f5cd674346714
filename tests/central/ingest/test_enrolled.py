"""From `node add` to a receipt, and from `node revoke` to a closed door, on both brokers of ours."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer.testing

from central import broker as broker_module
from central import service as service_module
from central.broker import find_mosquitto
from central.cli import app
from central.service import Service
from edge import config
from edge.link import Inbox, LinkError, Lost, Received, Session, Will
from edge.mqtt import PahoConnector
from edge.node import broker_of
from protocols import codec, topics
from protocols.messages import Status, utc_now

P = topics.DEFAULT_PREFIX
pytestmark = pytest.mark.system


@pytest_asyncio.fixture(params=["embedded", "mosquitto"])
async def centre(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any
) -> AsyncIterator[Service]:
    """A centre whose own broker serves enrolled nodes."""
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    if request.param == "embedded":
        monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)

    class Open(options):  # type: ignore[misc]
        broker_tls_port = 0
        broker_hosts = "localhost, broker.example"

    made = await service_module.start(Open(tmp_path / "central"))
    await made.link.wait_connected(20)
    yield made
    await made.stop()


async def run(*words: str | Path, status: int = 0) -> None:
    result = await asyncio.to_thread(typer.testing.CliRunner().invoke, app, [str(w) for w in words])
    assert result.exit_code == status, result.output + result.stderr


class Node:
    """A node at the end of its link."""

    def __init__(self, file: Path) -> None:
        self.settings = config.parse(f"enrolment: {file}")
        self.inbox: Inbox = queue.Queue(100)
        self.session: Session | None = None

    def connect(self) -> None:
        """Connect and say that it is there. Raises LinkError."""
        name = self.settings.node
        topic = topics.build(P, name, "status")
        will = Will(topic, codec.encode("status", Status(state="offline", node=name, boot="b1")))
        connector = PahoConnector(broker_of(self.settings))
        self.session = connector.connect(will, topics.subscriptions(P, "node", name), self.inbox)
        birth = Status(state="online", node=name, boot="b1", time=utc_now())
        self.session.publish(topic, codec.encode("status", birth), retain=True)

    def send(self, message: Any) -> None:
        """Publish a frame."""
        assert self.session is not None
        self.session.publish(topics.build(P, self.settings.node, "frames"), codec.encode("frames", message))

    def wait(self, kind: type[Any], seconds: float = 20) -> Any:
        """Return the next event of `kind`."""
        deadline = time.monotonic() + seconds
        while True:
            event = self.inbox.get(timeout=max(0.01, deadline - time.monotonic()))
            if isinstance(event, kind):
                return event


async def test_node__enrolled_serves_and_revoked_is_out(
    centre: Service, tmp_path: Path, sound: Callable[..., Any]
) -> None:
    file, other_file = tmp_path / "n1.wnode", tmp_path / "n2.wnode"
    await run("node", "add", "n1", "--site", "north", "--out", file, "--data", centre.data)
    await run("node", "add", "n2", "--out", other_file, "--data", centre.data)
    node, other = Node(file), Node(other_file)
    await asyncio.to_thread(node.connect)
    await asyncio.to_thread(other.connect)
    message = sound(node="n1")
    node.send(message)
    event = await asyncio.to_thread(node.wait, Received)
    assert codec.decode("receipts", event.payload).ids == [message.id]  # type: ignore[union-attr]

    began = time.monotonic()
    await run("node", "revoke", "n1", "--data", centre.data)
    await asyncio.to_thread(node.wait, Lost, 60)
    with pytest.raises(LinkError):
        await asyncio.to_thread(node.connect)
    assert time.monotonic() - began < 60

    other.send(sound(node="n2", sequence=1))
    assert isinstance(await asyncio.to_thread(other.wait, Received), Received)
    for each in (node, other):
        if each.session is not None:
            each.session.close(0.1)


async def test_node__a_client_id_of_another_takes_nothing_over(centre: Service, tmp_path: Path) -> None:
    for name in ("n1", "n2"):
        await run("node", "add", name, "--out", tmp_path / name, "--data", centre.data)
    node, thief = Node(tmp_path / "n1"), Node(tmp_path / "n2")
    await asyncio.to_thread(node.connect)
    thief.settings = thief.settings.model_copy(
        update={"mqtt": thief.settings.mqtt.model_copy(update={"client_id": "n1"})}
    )
    await asyncio.to_thread(thief.connect)
    with pytest.raises(queue.Empty):
        node.wait(Lost, 0.5)
    for each in (node, thief):
        assert each.session is not None
        each.session.close(0.1)


async def test_node__the_newest_connection_of_a_node_counts(centre: Service, tmp_path: Path) -> None:
    await run("node", "add", "n1", "--out", tmp_path / "n1", "--data", centre.data)
    first, second = Node(tmp_path / "n1"), Node(tmp_path / "n1")
    await asyncio.to_thread(first.connect)
    await asyncio.to_thread(second.connect)
    await asyncio.to_thread(first.wait, Lost)
    assert second.session is not None
    second.session.close(0.1)


async def test_consumer__takes_nothing_from_who_was_shut_out(centre: Service, sound: Callable[..., Any]) -> None:
    """For brokers that still let them in."""
    from central.link import Received as Arrived

    centre.consumer.refused = frozenset({"n1"})
    centre.consumer.deliver(Arrived("n1", "frames", "", codec.encode("frames", sound(node="n1"))))
    assert (centre.consumer.counters.shut_out, centre.consumer._frames.empty()) == (1, True)
