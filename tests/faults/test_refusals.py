"""One frame that is refused for ever among 1,000: the others are delivered, and it is put aside with the reason.

In each way that a frame can be refused: without a word, by the centre, by the broker's reason code, by a broker that
hangs up on it.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.link import Inbox, Link, LinkError, LinkSettings, Received, Refused, Session, Will, Window
from edge.mqtt import Broker, MemoryBroker, PahoConnector
from edge.spool import Spool
from protocols import codec, topics
from protocols.messages import FrameMessage, Receipt, Status
from tests.edge.test_link import NODE, PREFIX, frame, free_port, until, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
FRAMES = 1000
MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
FRAMES_TOPIC = topics.build(PREFIX, NODE, "frames")


class Refusing:
    """A centre and sessions of a memory broker that treat one frame as the test says."""

    def __init__(self, broker: MemoryBroker, how: str) -> None:
        self.broker, self.how, self.poison = broker, how, ""
        self.frames: set[str] = set()
        self.tries = 0
        broker.watch(self._centre)

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        """Connect."""
        return _Session(self, self.broker.connect(will, filters, inbox), inbox)

    def _centre(self, topic: str, payload: bytes) -> None:
        if topic != FRAMES_TOPIC:
            return
        message: Any = codec.decode("frames", payload)
        receipt = Receipt(ids=[message.id])
        if message.id == self.poison:
            receipt = Receipt(ids=[], refused={message.id: "its image is no JPEG"})
            if self.how != "centre":
                return
        else:
            self.frames.add(message.id)
        self.broker.publish(topics.build(PREFIX, NODE, "receipts"), codec.encode("receipts", receipt))


class _Session:
    def __init__(self, world: Refusing, inner: Session, inbox: Inbox) -> None:
        self.world, self.inner, self.inbox = world, inner, inbox

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        poison = topic == FRAMES_TOPIC and self.world.poison.encode() in payload
        self.world.tries += poison
        if poison and self.world.how == "broker":
            self.inbox.put_nowait(Refused("Payload format invalid", topic, 0))
            return 0
        if poison and self.world.how == "hangs up":
            self.close(0.0)
            raise LinkError("the connection ended")
        return self.inner.publish(topic, payload, retain=retain)

    def close(self, timeout: float) -> None:
        self.inner.close(timeout)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: what is tested here is not the disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="poison-", dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)


REASONS = {
    "silence": "no receipt after 4 tries",
    "centre": "its image is no JPEG",
    "broker": "the broker refuses it: Payload format invalid",
    "hangs up": "the connection ended",
}


@contextlib.contextmanager
def running(folder: Path, connector: Any) -> Iterator[tuple[Spool, Link]]:
    spool = Spool(folder / "spool", 10**8, 10_000, reserve=4096)
    settings = LinkSettings(PREFIX, NODE, 4, 0.02, backoff_base=0.001, backoff_cap=0.005, give_up=4)
    link = Link(settings, connector, spool, lambda s: Status(state=s, node=NODE, boot="b"), {})
    try:
        yield spool, link
    finally:
        link.stop()


def one_among_many(folder: Path, how: str, patience: float = 20.0) -> None:
    """The refused one has the highest value, so that it is the first of all to be sent."""
    world = Refusing(MemoryBroker(), how)
    with running(folder, world) as (spool, link):
        messages = [frame(200) for _ in range(FRAMES)]
        world.poison = messages[0].id
        spool.add(messages[0], 900.0)
        good = iter(messages[1:])
        for message in (next(good) for _ in range(100)):
            spool.add(message, 1.0)
        link.start()
        for message in good:  # cameras go on
            spool.add(message, 1.0)
            link.wake()
            time.sleep(0.001)
        until(lambda: len(spool) == 0 and spool.totals.parked == 1, patience)
        assert world.frames == {m.id for m in messages[1:]}, "not all others are delivered"
        assert world.tries < 50, "it is sent again and again"
        reasons = [p.read_text() for p in (folder / "spool" / "parked").glob("*.reason")]
        assert len(reasons) == 1
        assert REASONS[how] in reasons[0]
        assert (spool.totals.parked, spool.dropped) == (1, 0)


@pytest.mark.parametrize("how", list(REASONS))
def test_refusals__the_others_are_delivered_and_it_is_parked(memory: Path, how: str) -> None:
    one_among_many(memory, how)


@pytest.mark.parametrize("how", ["silence", "broker", "hangs up"])
def test_refusals__a_link_that_never_gives_up_is_found(memory: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: nothing is hopeless; and what connections end on is simply sent again."""
    monkeypatch.setattr(Window, "hopeless", lambda self: {})
    if how == "hangs up":
        monkeypatch.setattr("edge.window.SUSPECT", 10**9)
    with pytest.raises(AssertionError):
        one_among_many(memory, how, 1.0)


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not on the PATH")
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_refusals__larger_than_a_real_broker_takes(memory: Path, version: Any) -> None:
    port = free_port()
    file = memory / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_packet_size 20000\n")
    with subprocess.Popen([str(MOSQUITTO), "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        try:
            wait_for(port)
            large_among_small(memory, port, version)
        finally:
            p.kill()


def large_among_small(folder: Path, port: int, version: Any) -> None:
    connector = PahoConnector(Broker("127.0.0.1", port, "n1", version=version))
    with centre(port), running(folder, connector) as (spool, link):
        spool.add(frame(60_000), 900.0)
        link.start()
        added = 0

        def parked() -> bool:
            nonlocal added
            spool.add(frame(1000), 1.0)
            added += 1
            link.wake()
            time.sleep(0.02)
            return spool.totals.parked == 1

        until(parked, 30.0)
        until(lambda: len(spool) == 0, 10.0)
        assert spool.counters.receipted == added


@contextlib.contextmanager
def centre(port: int) -> Iterator[None]:
    """Receipts everything that comes."""
    inbox: Inbox = queue.Queue()
    filters = topics.subscriptions(PREFIX, "centre")
    session = PahoConnector(Broker("127.0.0.1", port, "centre")).connect(Will("centre/will", b""), filters, inbox)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                event = inbox.get(timeout=0.05)
                if isinstance(event, Received) and event.topic == FRAMES_TOPIC:
                    message = codec.decode("frames", event.payload)
                    assert isinstance(message, FrameMessage)
                    payload = codec.encode("receipts", Receipt(ids=[message.id]))
                    session.publish(topics.build(PREFIX, NODE, "receipts"), payload)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
        session.close(0.2)
