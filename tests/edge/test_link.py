"""The link: every spooled frame arrives or stays, whatever the broker does; presence is told truly."""

from __future__ import annotations

import asyncio
import hashlib
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog

from edge.link import Backoff, Inbox, Link, LinkError, LinkSettings, Presence, Received, Session, Will, Window
from edge.mqtt import Broker, MemoryBroker, PahoConnector, Tls
from edge.sources import frame_id
from edge.spool import Spool
from protocols import codec, topics
from protocols.messages import (
    Assessment,
    Command,
    Event,
    FrameMessage,
    Health,
    Policy,
    Receipt,
    Selection,
    Status,
    Update,
    utc_now,
)

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
PREFIX, NODE = "w", "n1"


def frame(size: int = 500) -> FrameMessage:
    now, image = utc_now(), bytes(size)
    return FrameMessage(
        id=frame_id(now), node=NODE, boot="b", sequence=0, camera="c", time=now, width=8, height=8,
        assessment=Assessment(), selection=Selection(keep=True, probability=1.0, reason="r", policy="p"),
        sha256=hashlib.sha256(image).hexdigest(), image=image,
    )  # fmt: skip


def until(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


class Centre:
    """A centre on a memory broker: stores frames by id and sends receipts, unless it is told not to."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker, self.receipting = broker, True
        self.refused: set[str] = set()
        self.frames: dict[str, int] = {}
        self.states: list[str] = []
        self.others: list[Any] = []
        broker.watch(self._see)

    def _see(self, topic: str, payload: bytes) -> None:
        channel = topics.parse(PREFIX, topic).channel
        if topics.CHANNELS[channel].sender != "node":
            return
        message = codec.decode(channel, payload)
        if isinstance(message, Status):
            self.states.append(message.state)
        elif isinstance(message, FrameMessage):
            self.frames[message.id] = self.frames.get(message.id, 0) + 1
            if self.receipting and message.id not in self.refused:
                self.send("receipts", Receipt(ids=[message.id]))
        else:
            self.others.append(message)

    def send(self, channel: str, message: Any) -> None:
        self.broker.publish(topics.build(PREFIX, NODE, channel), codec.encode(channel, message))


class World:
    def __init__(self, folder: Path, **settings: Any) -> None:
        self.broker = MemoryBroker()
        self.centre = Centre(self.broker)
        self.spool = Spool(folder / "spool", 10**8, 1000, reserve=4096)
        self.taken: list[Any] = []
        handlers = dict.fromkeys(("policy", "release", "command"), self.taken.append)
        options = {"backoff_base": 0.01, "backoff_cap": 0.05, **settings}
        self.link = Link(LinkSettings(PREFIX, NODE, **options), self.broker, self.spool, self.status, handlers)

    def status(self, state: Presence) -> Status:
        return Status(state=state, node=NODE, boot="b", time=None)

    def add(self, count: int, value: float = 1.0) -> list[str]:
        messages = [frame() for _ in range(count)]
        for message in messages:
            self.spool.add(message, value)
        self.link.wake()
        return [m.id for m in messages]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.link.stop()


def test_frames__go_out_and_leave_the_spool_on_their_receipt(world: World) -> None:
    ids = world.add(20)
    world.link.start()
    until(lambda: len(world.spool) == 0)
    assert world.centre.frames == dict.fromkeys(ids, 1)


def test_frames__stay_without_receipt(tmp_path: Path) -> None:
    world = World(tmp_path, window=8)
    world.centre.receipting = False
    world.add(20)
    world.link.start()
    until(lambda: len(world.centre.frames) == 8)
    time.sleep(0.05)
    assert len(world.centre.frames) == 8, "no more than the window is under way"
    assert len(world.spool) == 20
    world.link.stop()


def test_frames__are_sent_again_after_a_reconnect(world: World) -> None:
    world.centre.receipting = False
    ids = world.add(3)
    world.link.start()
    until(lambda: len(world.centre.frames) == 3)
    world.centre.receipting = True
    world.broker.kick()
    until(lambda: len(world.spool) == 0)
    assert world.centre.frames == dict.fromkeys(ids, 2)


def test_frames__are_sent_again_after_the_receipt_timeout(tmp_path: Path) -> None:
    world = World(tmp_path, receipt_timeout=0.1)
    world.centre.receipting = False
    world.add(1)
    world.link.start()
    until(lambda: len(world.centre.frames) == 1)
    world.centre.receipting = True
    until(lambda: len(world.spool) == 0)
    world.link.stop()


def test_frames__one_that_is_refused_for_ever_blocks_no_other(tmp_path: Path) -> None:
    world = World(tmp_path, receipt_timeout=0.05, window=1)
    poison = world.add(1, value=9.0)[0]
    world.centre.refused = {poison}
    world.add(50)
    world.link.start()
    until(lambda: len(world.spool) == 1)
    world.link.stop()


def test_frames__a_receipt_from_a_life_before(world: World) -> None:
    ids = world.add(2)
    world.centre.receipting = False
    world.link.start()
    until(lambda: world.link.connected)
    world.centre.send("receipts", Receipt(ids=[*ids, frame().id]))
    until(lambda: len(world.spool) == 0)


def test_presence__birth_will_and_clean_stop(world: World) -> None:
    world.link.start()
    until(lambda: world.centre.states == ["online"])
    world.broker.kick()
    until(lambda: world.centre.states == ["online", "offline", "online"])
    world.link.stop()
    assert world.centre.states[-1] == "stopped"
    retained = codec.decode("status", world.broker.retained[f"{PREFIX}/{NODE}/status"])
    assert isinstance(retained, Status)
    assert retained.state == "stopped"


def test_presence__carries_the_number_of_the_connection(world: World) -> None:
    seen: list[tuple[str, int]] = []

    def see(topic: str, payload: bytes) -> None:
        if topic.endswith("/status"):
            message = codec.decode("status", payload)
            assert isinstance(message, Status)
            seen.append((message.state, message.session))

    world.broker.watch(see)
    world.link.start()
    until(lambda: len(seen) == 1)
    world.broker.kick()
    until(lambda: len(seen) == 3)
    world.link.announce()
    until(lambda: len(seen) == 4)
    assert seen == [("online", 1), ("offline", 1), ("online", 2), ("online", 2)]


def test_frames__what_the_centre_refuses_is_parked_with_its_reason(world: World) -> None:
    world.centre.receipting = False
    bad, good = world.add(2)
    world.link.start()
    until(lambda: len(world.centre.frames) == 2)
    world.centre.send("receipts", Receipt(ids=[good], refused={bad: "its image is no JPEG", frame().id: "unknown"}))
    until(lambda: len(world.spool) == 0 and world.spool.totals.parked == 1)
    reasons = [p.read_text() for p in (world.spool.folder / "parked").glob("*.reason")]
    assert reasons == ["its image is no JPEG\n"]


def test_broker__down_at_the_start_is_one_warning(world: World) -> None:
    world.broker.down = True
    with structlog.testing.capture_logs() as logs:
        world.link.start()
        world.add(3)
        time.sleep(0.3)
        assert [e["log_level"] for e in logs] == ["warning"]
        assert not world.link.connected
        world.broker.down = False
        until(lambda: len(world.spool) == 0)


def test_broker__every_reconnect_loses_nothing(world: World) -> None:
    world.link.start()
    ids: list[str] = []
    for _ in range(20):
        ids += world.add(5)
        time.sleep(0.02)
        world.broker.kick()
    until(lambda: len(world.spool) == 0)
    assert set(world.centre.frames) == set(ids)


def test_dispatch__what_the_centre_says_reaches_its_handler(world: World) -> None:
    world.link.start()
    until(lambda: world.link.connected)
    world.centre.send("policy", Policy(version=3))
    world.centre.send("command", Command(id="1", action="pause"))
    until(lambda: len(world.taken) == 2)
    assert world.taken == [Policy(version=3), Command(id="1", action="pause")]


def test_dispatch__garbage_and_failing_handlers_cost_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)

    def fail(_: Policy) -> None:
        raise RuntimeError("planted")

    world.link._handlers["policy"] = fail
    world.link.start()
    until(lambda: world.link.connected)
    for payload in (b"\xff", b"{}", b"[" * 1000):
        world.broker.publish(f"{PREFIX}/{NODE}/policy", payload)
    world.centre.send("policy", Policy(version=1))
    world.centre.send("command", Command(id="1", action="pause"))
    until(lambda: len(world.taken) == 1)
    assert world.link.counters.bad_messages == 3
    assert world.link.counters.connects == 1
    world.link.stop()


def test_send__offline_keeps_only_what_still_matters(world: World) -> None:
    update = Update(node=NODE, boot="b", time=utc_now(), release=1, pack="ab" * 32, step="announced")
    world.link.send("health", Health(node=NODE, boot="b", time=utc_now(), uptime_s=1.0))
    world.link.send("events", Event(node=NODE, camera="c", time=utc_now(), kind="counts"), "c")
    world.link.send("update", update)
    world.link.start()
    until(lambda: len(world.centre.others) == 1)
    assert world.centre.others == [update]


def test_send__never_blocks_nor_grows(world: World) -> None:
    update = Update(node=NODE, boot="b", time=utc_now(), release=1, pack="ab" * 32, step="announced")
    for _ in range(1000):
        world.link.send("update", update)
    assert len(world.link._outbox) == 256
    assert world.link.counters.dropped == 744


class Stubborn:
    """A connector whose failure is not a LinkError."""

    def __init__(self) -> None:
        self.attempts = 0

    def connect(self, will: Will, filters: list[str], inbox: Inbox) -> Session:
        self.attempts += 1
        raise ZeroDivisionError("planted")


def test_run__nothing_ends_the_thread(tmp_path: Path) -> None:
    connector = Stubborn()
    settings = LinkSettings(PREFIX, NODE, backoff_base=0.001, backoff_cap=0.001)
    link = Link(
        settings, connector, Spool(tmp_path, 10**6, 10, reserve=1), lambda s: Status(state=s, node=NODE, boot="b"), {}
    )
    link.start()
    until(lambda: connector.attempts >= 3)
    link.stop()
    assert not link._thread.is_alive()


def test_backoff__full_jitter_under_a_growing_ceiling() -> None:
    draws = [[Backoff(1.0, 60.0, Random(seed)) for seed in range(200)]]
    for ceiling in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        waits = [b.next() for b in draws[0]]
        assert 0.9 * ceiling < max(waits) <= ceiling
        assert min(waits) < 0.1 * ceiling
    draws[0][0].reset()
    assert draws[0][0].next() <= 1.0


def test_window__frames_rest_longer_each_time() -> None:
    window, now, rests = Window(4, 30.0), 0.0, []
    for _ in range(8):
        window.sent("a", 100, now)
        now += 30.0
        window.expire(now)
        rests.append(window.resting["a"][1] - now)
    assert rests == [0.0, 30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    window.receipt("a")
    assert window.blocked(now) == set()


def test_window__bytes_are_bounded_too() -> None:
    window = Window(100, 30.0)
    for i in range(4):
        window.sent(str(i), 10 * 1024 * 1024, 0.0)
    assert not window.room()


# --- real brokers ---


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def mosquitto(port: int, folder: Path) -> Iterator[None]:
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with subprocess.Popen(
        [str(MOSQUITTO), "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(port)
            yield
        finally:
            process.kill()


@contextmanager
def embedded(port: int, folder: Path) -> Iterator[None]:
    """amqtt on a thread of its own."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}

    async def serve() -> None:
        from amqtt.broker import Broker as Embedded

        config = {"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": plugins}
        broker = Embedded(config)
        await broker.start()
        ready.set()
        await stop.wait()
        await broker.shutdown()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def wait_for(port: int) -> None:
    def answers() -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    until(answers, 10.0)


needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not on the PATH")
BROKERS = [
    pytest.param(embedded, "3.1.1", id="embedded"),
    pytest.param(mosquitto, "3.1.1", id="mosquitto-3.1.1", marks=needs_mosquitto),
    pytest.param(mosquitto, "5", id="mosquitto-5", marks=needs_mosquitto),
]


@contextmanager
def paho_centre(port: int) -> Iterator[list[Any]]:
    """A centre through the real connector's own seam: takes frames and statuses, answers with receipts."""

    inbox: Inbox = queue.Queue()
    session = PahoConnector(Broker("127.0.0.1", port, "centre")).connect(
        Will("centre/will", b""), topics.subscriptions(PREFIX, "centre"), inbox
    )
    seen: list[Any] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                event = inbox.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(event, Received):
                message = codec.decode(topics.parse(PREFIX, event.topic).channel, event.payload)
                seen.append(message)
                if isinstance(message, FrameMessage):
                    payload = codec.encode("receipts", Receipt(ids=[message.id]))
                    session.publish(topics.build(PREFIX, message.node, "receipts"), payload)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(5)
        session.close(0.2)


@pytest.mark.parametrize(("run_broker", "version"), BROKERS)
def test_paho__the_whole_way(run_broker: Any, version: Any, tmp_path: Path) -> None:
    port = free_port()
    spool = Spool(tmp_path / "spool", 10**8, 1000, reserve=4096)
    messages = [frame(60_000) for _ in range(20)]
    for message in messages:
        spool.add(message, 1.0)
    connector = PahoConnector(Broker("127.0.0.1", port, "wayside-n1", version=version))
    # The centre may subscribe after the node published: then nobody receipts, and the node sends again.
    settings = LinkSettings(PREFIX, NODE, receipt_timeout=1.0, backoff_base=0.05, backoff_cap=0.2)
    link = Link(settings, connector, spool, lambda s: Status(state=s, node=NODE, boot="b"), {})
    link.start()
    time.sleep(0.1)
    with run_broker(port, tmp_path), paho_centre(port) as seen:
        until(lambda: len(spool) == 0, 15.0)
        link.stop()
        until(lambda: any(isinstance(m, Status) and m.state == "stopped" for m in seen))
    assert {m.id for m in seen if isinstance(m, FrameMessage)} == {m.id for m in messages}


@needs_mosquitto
def test_paho__a_killed_broker_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    spool = Spool(tmp_path / "spool", 10**8, 1000, reserve=4096)
    connector = PahoConnector(Broker("127.0.0.1", port, "wayside-n1"))
    settings = LinkSettings(PREFIX, NODE, receipt_timeout=1.0, backoff_base=0.05, backoff_cap=0.2)
    link = Link(settings, connector, spool, lambda s: Status(state=s, node=NODE, boot="b"), {})
    link.start()
    made, stored = set(), set()
    for _ in range(3):
        with mosquitto(port, tmp_path), paho_centre(port) as seen:
            until(lambda: link.connected)
            for _ in range(5):
                message = frame(20_000)
                made.add(message.id)
                spool.add(message, 1.0)
                link.wake()
            until(lambda: len(seen) > 2)
        stored |= {m.id for m in seen if isinstance(m, FrameMessage)}
        until(lambda: not link.connected)
    with mosquitto(port, tmp_path), paho_centre(port) as seen:
        until(lambda: len(spool) == 0, 10.0)
    link.stop()
    stored |= {m.id for m in seen if isinstance(m, FrameMessage)}
    assert stored == made


@pytest.mark.parametrize("kind", ["nobody", "silent"])
def test_paho__no_broker_there(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mqtt.client.CONNECT_S", 0.3)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        if kind == "silent":
            s.listen()
        port = s.getsockname()[1]
        with pytest.raises(LinkError, match=f"127.0.0.1:{port}") as info:
            PahoConnector(Broker("127.0.0.1", port)).connect(Will("t", b""), ["a"], queue.Queue())
    assert "\n" not in str(info.value)


def test_tls__files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"mqtt\.tls"):
        Tls(ca=tmp_path / "none.pem").context()
