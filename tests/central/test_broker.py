"""Real brokers, real clients: what is carried, who gets in, what happens when the broker dies."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from central import mosquitto
from central.broker import Broker, BrokerError, find_mosquitto, start_broker, start_own
from central.embedded import CENTRE, WATCH, Gatekeeper, allowed
from central.link import BrokerAddress, LinkError, backoff, parse_url
from protocols.topics import CHANNELS

P = "wayside/v1"
LARGE = 1_000_000


class Served:
    """A broker that runs on an event loop of its own."""

    def __init__(self, kind: Any, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.broker: Broker = self.call(start_own(kind, folder, 0))

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.call(self.broker.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module", params=["embedded", "mosquitto"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Each kind of broker of ours."""
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not on the PATH")
    made = Served(request.param, tmp_path_factory.mktemp("broker"))
    yield made
    made.close()


class Client:
    """A paho client that keeps what it gets."""

    def __init__(self, address: BrokerAddress, name: str = "", will: tuple[str, bytes] | None = None) -> None:
        self.got: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
        self.events: queue.Queue[Any] = queue.Queue()
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False)
        self.paho.username_pw_set(address.username or None, address.password or None)
        if will:
            self.paho.will_set(will[0], will[1], qos=1, retain=True)
        self.paho.on_message = lambda _c, _d, m: self.got.put((m.topic, bytes(m.payload), m.retain))
        self.paho.on_connect = lambda _c, _d, _f, reason, _p: self.events.put(reason)
        self.paho.on_subscribe = lambda _c, _d, _m, reasons, _p: self.events.put(reasons)
        self.paho.connect(address.host, address.port)
        self.paho.loop_start()
        self.connected = not self.events.get(timeout=10).is_failure

    def subscribe(self, *filters: str) -> list[bool]:
        self.paho.subscribe([(f, 1) for f in filters])
        return [not r.is_failure for r in self.events.get(timeout=10)]

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.paho.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def next(self, timeout: float = 10) -> tuple[str, bytes, bool]:
        return self.got.get(timeout=timeout)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def die(self) -> None:
        """Go without a word, as a process that is killed does."""
        sock: Any = self.paho.socket()
        sock.shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()


@pytest.fixture
def client(served: Served) -> Iterator[Callable[..., Client]]:
    """Makes clients that are closed at the end."""
    made: list[Client] = []

    def make(user: str, **options: Any) -> Client:
        address = served.broker.centre if user == CENTRE else served.broker.node(user)
        for _ in range(20):  # Mosquitto reads a new password when it gets around to it
            made.append(Client(address, **options))
            if made[-1].connected:
                break
            time.sleep(0.1)
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_broker__carries_a_megabyte_both_ways(client: Callable[..., Client]) -> None:
    node, centre = client("n1"), client(CENTRE)
    assert centre.subscribe(f"{P}/+/frames") == [True]
    assert node.subscribe(f"{P}/n1/chunks") == [True]
    payload = os.urandom(LARGE)
    for _ in range(5):
        node.publish(f"{P}/n1/frames", payload)
        centre.publish(f"{P}/n1/chunks", payload)
        assert centre.next()[:2] == (f"{P}/n1/frames", payload)
        assert node.next()[:2] == (f"{P}/n1/chunks", payload)


def test_broker__many_small_messages_keep_their_order(client: Callable[..., Client]) -> None:
    node, centre = client("n1"), client(CENTRE)
    centre.subscribe(f"{P}/+/frames")
    for i in range(200):
        node.paho.publish(f"{P}/n1/frames", str(i), qos=1)
    assert [int(centre.next()[1]) for _ in range(200)] == list(range(200))


def test_broker__retains(client: Callable[..., Client]) -> None:
    client(CENTRE).publish(f"{P}/n2/policy", b"kept", retain=True)
    node = client("n2")
    node.subscribe(f"{P}/n2/policy")
    assert node.next() == (f"{P}/n2/policy", b"kept", True)


def test_broker__greets_nobody_with_what_others_retain(client: Callable[..., Client]) -> None:
    client(CENTRE).publish(f"{P}/n2/policy", b"kept", retain=True)
    client("n2").subscribe(f"{P}/n2/policy")
    stranger = client("n8")
    stranger.subscribe(f"{P}/n8/policy")
    with pytest.raises(queue.Empty):
        stranger.next(0.3)


def test_broker__last_will_is_published_and_retained(client: Callable[..., Client]) -> None:
    centre = client(CENTRE)
    centre.subscribe(f"{P}/+/status")
    node = client("n3", will=(f"{P}/n3/status", b"offline"))
    node.publish(f"{P}/n3/status", b"online", retain=True)
    assert centre.next()[1] == b"online"
    node.die()
    assert centre.next()[1] == b"offline"
    late = client(CENTRE)
    late.subscribe(f"{P}/+/status")
    assert (f"{P}/n3/status", b"offline", True) in [late.next() for _ in range(late.got.qsize() or 1)]


def test_broker__same_client_id_again_is_served(client: Callable[..., Client]) -> None:
    client("n4", name="n4-client")
    again = client("n4", name="n4-client")
    again.subscribe(f"{P}/n4/policy")
    client(CENTRE).publish(f"{P}/n4/policy", b"x")
    assert again.next()[1] == b"x"


@pytest.mark.parametrize(("user", "password"), [("", ""), ("n1", "wrong"), ("nobody", "x"), (CENTRE, "")])
def test_broker__refuses_wrong_logins(served: Served, user: str, password: str) -> None:
    served.broker.node("n1")
    wrong = Client(BrokerAddress(served.broker.host, served.broker.port, user, password))
    wrong.close()
    assert not wrong.connected


@pytest.mark.parametrize("topic", [f"{P}/n2/frames", f"{P}/n1/receipts", "elsewhere", f"{P}/n1/other"])
def test_broker__node_cannot_publish_elsewhere(client: Callable[..., Client], topic: str) -> None:
    node, centre = client("n1"), client(CENTRE)
    centre.subscribe(f"{P}/+/frames", f"{P}/+/status")
    node.publish(topic, b"forged", retain=True)
    node.publish(f"{P}/n1/frames", b"own")
    while (got := centre.next())[2]:
        assert got[1] != b"forged"
    assert got[:2] == (f"{P}/n1/frames", b"own")


@pytest.mark.parametrize("wanted", ["#", f"{P}/#", f"{P}/+/frames", f"{P}/n2/policy", f"{P}/n1/frames"])
def test_broker__node_hears_only_its_own(client: Callable[..., Client], wanted: str) -> None:
    node, other, centre = client("n1"), client("n2"), client(CENTRE)
    node.subscribe(wanted, f"{P}/n1/command")
    other.publish(f"{P}/n2/frames", b"secret")
    centre.publish(f"{P}/n2/policy", b"secret")
    centre.publish(f"{P}/n1/command", b"mine")
    assert node.next()[1] == b"mine"


def test_broker__will_outside_the_rules_is_not_published(served: Served, client: Callable[..., Client]) -> None:
    centre = client(CENTRE)
    centre.subscribe(f"{P}/+/status")
    client("n6")
    bad = Client(served.broker.node("n6"), will=(f"{P}/n7/status", b"forged"))
    if bad.connected:
        bad.die()
    bad.close()
    time.sleep(0.3)
    assert all(payload != b"forged" for _, payload, _ in [centre.next() for _ in range(centre.got.qsize())])


def test_broker__subscribing_while_it_carries_loses_nothing(client: Callable[..., Client]) -> None:
    node, centre, others = client("n1"), client(CENTRE), [client(f"m{i}") for i in range(8)]
    centre.subscribe(f"{P}/+/frames")
    for i in range(160):
        node.paho.publish(f"{P}/n1/frames", str(i), qos=1)
        if i % 5 == 0:
            channel = ("policy", "release", "command", "chunks")[i // 5 % 4]
            others[i // 20].paho.subscribe(f"{P}/m{i // 20}/{channel}", 1)
    assert sorted(int(centre.next()[1]) for _ in range(160)) == list(range(160))


def test_broker__credentials_are_private_and_stay(served: Served, tmp_path: Path) -> None:
    folder = served.broker._folder
    assert folder is not None
    assert (folder / "users.json").stat().st_mode & 0o077 == 0
    assert served.broker.node("n1").password == json.loads((folder / "users.json").read_text())["n1"]


def test_broker__dies_and_comes_back(served: Served) -> None:
    pid = served.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while served.broker.pid == pid and time.monotonic() < deadline:
        time.sleep(0.1)
    while time.monotonic() < deadline:
        try:
            again = Client(served.broker.centre)
        except OSError:
            time.sleep(0.1)
            continue
        again.close()
        assert again.connected
        return
    pytest.fail("the broker did not come back")


STARTER = """
import asyncio, sys
from pathlib import Path
from central.broker import start_own
async def main():
    broker = await start_own(sys.argv[1], Path(sys.argv[2]), 0)
    print(broker.pid, broker.port, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_broker__ends_with_a_killed_centre(kind: str, tmp_path: Path) -> None:
    if kind == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not on the PATH")
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, kind, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as starter:
        assert starter.stdout is not None
        _, port = map(int, starter.stdout.readline().split())
        starter.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.1)
    pytest.fail("the broker outlived its centre")


def test_start__port_in_use_names_port_and_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("central.broker.PORT_S", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} .*--broker-port"):
            asyncio.run(start_own("embedded", tmp_path, port))


def test_start__damaged_credentials_are_named(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text("{")
    with pytest.raises(BrokerError, match=r"users\.json is damaged"):
        asyncio.run(start_own("embedded", tmp_path, 0))


def test_start__given_broker_is_used(tmp_path: Path) -> None:
    class Given:
        data = tmp_path
        broker_url = "mqtt://me:pa%3Ass@broker.example:1999"
        broker_port = 1
        prefix = P

    broker = asyncio.run(start_broker(Given()))
    assert (broker.kind, broker.centre) == ("given", BrokerAddress("broker.example", 1999, "me", "pa:ss"))
    assert broker.node("n1") == broker.centre


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://h:notaport", "mqtt://[", "host"])
def test_parse_url__bad(url: str) -> None:
    with pytest.raises(LinkError, match="broker URL"):
        parse_url(url)


def test_address__url_round_trip_and_no_password_in_logs() -> None:
    address = BrokerAddress("::1", 1883, "a/b", "p@:/", True)
    assert parse_url(address.url) == address
    assert "p@" not in repr(address)


@pytest.mark.parametrize(
    ("user", "topic", "action", "expected"),
    [
        ("n", "n/frames", "publish", True),
        ("n", "n/frames", "receive", False),
        ("n", "n/events/c", "publish", True),
        ("n", "n/receipts", "receive", True),
        ("n", "n/receipts", "publish", False),
        ("n", "m/frames", "publish", False),
        ("n", "n/receipts", "subscribe", True),
        ("n", "+/receipts", "subscribe", False),
        ("+", "+/receipts", "subscribe", False),
        ("#", "#", "subscribe", False),
        ("", "n/frames", "publish", False),
        (CENTRE, "n/receipts", "publish", True),
        (CENTRE, "n/frames", "publish", False),
        (CENTRE, "+/frames", "subscribe", True),
        (CENTRE, "#", "subscribe", False),
        (WATCH, "n/status", "receive", True),
        (WATCH, "+/status", "subscribe", True),
        (WATCH, "+/events/+", "subscribe", True),
        (WATCH, "#", "subscribe", False),
        (WATCH, "+/frames", "subscribe", False),
        (WATCH, "n/frames", "receive", False),
        (WATCH, "n/status", "publish", False),
    ],
)
def test_allowed__table(user: str, topic: str, action: str, expected: bool) -> None:
    assert allowed(P, user, f"{P}/{topic}", action) is expected


def test_rules__name_every_channel_for_nodes_and_every_connection_of_the_centre() -> None:
    rules = mosquitto.rules(P)
    nodes = [line for line in rules.splitlines() if line.startswith("pattern")]
    assert sorted(line.split("/%u/")[1].split("/")[0] for line in nodes) == sorted(CHANNELS)
    assert all(rules.count(f"/+/{name}") >= len(mosquitto.centre_names()) for name in CHANNELS)
    assert "#" not in rules


def test_rules__whoever_is_denied_is_denied_everything() -> None:
    assert "user gone\ntopic deny #\n" in mosquitto.rules(P, ["gone"])


@pytest.mark.parametrize("name", ["+", "#", "a/b", "a\ntopic readwrite #", "", "$SYS", "@centre"])
def test_rules__no_name_can_add_a_rule(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        mosquitto.rules(P, [name])


@pytest.mark.parametrize("text", ["", "\n", "# topic readwrite #\n", "user n1\n"])
def test_check_rules__no_rule_is_refused(text: str) -> None:
    with pytest.raises(mosquitto.RulesError, match=r"rules: no access rule"):
        mosquitto.check_rules(text, "rules")


def test_gatekeeper__a_damaged_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "revoked.json"
    file.write_text('{"names": ["n1"], "serials": ["ab"]}')
    keeper = Gatekeeper(file)
    file.write_text("{")
    assert not keeper.look()
    assert (keeper.refuses("n1", ""), keeper.refuses("n2", "ab"), keeper.refuses("n2", "")) == (True, True, False)


def test_backoff__grows_to_its_bound() -> None:
    class Highest:
        def uniform(self, _low: float, high: float) -> float:
            return high

    assert [backoff(n, Highest()) for n in (0, 1, 2, 9, 1000)] == [0.5, 1.0, 2.0, 15.0, 15.0]  # type: ignore[arg-type]
