"""A real Mosquitto as `broker config mosquitto` writes it, and clients with certificates."""

from __future__ import annotations

import queue
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from central import mosquitto
from central.enrol import lockout
from central.enrol.authority import Authority, Issued, open_authority
from central.enrol.lockout import Place
from central.enrol.nodes import ShutOut
from central.mosquitto import Listener
from protocols import topics

PREFIX: Final = topics.DEFAULT_PREFIX
OBSERVER: Final = "@observer"
SECOND: Final = "@observer.2"
"""Two who see everything, where the rules say so; two names, as a name is a client id."""
WAIT_S: Final = 10.0
MISSING: Final = "mosquitto is not installed (Debian: apt install mosquitto)"


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """Return what `look` returns as soon as that is something; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


class Mosquitto:
    """A broker in a folder."""

    def __init__(self, folder: Path) -> None:
        self.data, self.folder, self.port = folder / "central", folder / "broker", free_port()
        self.authority: Authority = open_authority(self.data)
        self.certificates: dict[str, Path] = {}
        place = Place("localhost", self.port, PREFIX)
        lockout.prepare(self.folder, self.authority, place, ["localhost"])
        lockout.write(self.folder, PREFIX, ShutOut(), self.authority)
        lockout.put(self.folder / "mosquitto.conf", mosquitto.settings(self.folder, [Listener(self.port, tls=True)]))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        """Start it and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            line = [mosquitto.find() or "mosquitto", "-c", str(self.folder / "mosquitto.conf")]
            self.process = subprocess.Popen(line, stdout=log, stderr=log)
        until(self.listens, f"mosquitto does not start: {(self.folder / 'log').read_text()}")
        return self

    def listens(self) -> bool:
        """Whether somebody answers at the port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(WAIT_S)

    def certificate(self, name: str, issued: Issued | None = None) -> Path:
        """Return a file with key, certificate and authority of `name`; the observer and the centre have theirs too."""
        if name not in self.certificates or issued is not None:
            held = issued or self.authority._client(name, lockout.KICK_LIFETIME)
            self.certificates[name] = self.folder / f"{len(self.certificates)}-client.pem"
            lockout.put(self.certificates[name], held.key + held.certificate + self.authority.pem)
        return self.certificates[name]

    def client(self, name: str, **options: Any) -> Client:
        """Return a client that shows the certificate of `name`."""
        return Client(self, name, **options)


class Client:
    """A paho client that keeps what it gets."""

    def __init__(
        self, broker: Mosquitto, name: str, will: str = "", client_id: str = "", wait: bool = True
    ) -> None:
        self.got: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
        self.events: queue.Queue[str] = queue.Queue()
        self.name = name
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or name, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        file = broker.certificate(name)
        context = ssl.create_default_context(cafile=str(file))
        context.load_cert_chain(file)
        self.paho.tls_set_context(context)
        if will:
            self.paho.will_set(will, name.encode(), qos=1, retain=True)
        self.paho.on_connect = lambda _c, _d, _f, reason, _p: self.events.put(
            "refused" if reason.is_failure else "connected"
        )
        self.paho.on_disconnect = lambda *_: self.events.put("gone")
        self.paho.on_subscribe = lambda *_: self.events.put("subscribed")
        self.paho.on_message = lambda _c, _d, m: self.got.put((m.topic, bytes(m.payload), m.retain))
        self.state = "gone"
        try:
            self.paho.connect("localhost", broker.port)
        except OSError:
            return
        self.paho.loop_start()
        if wait:
            self.state = self.events.get(timeout=WAIT_S)

    @property
    def connected(self) -> bool:
        """Whether the broker let it in."""
        return self.state == "connected"

    def subscribe(self, *filters: str) -> None:
        """Ask for `filters`; the broker may agree and send nothing."""
        for text in filters:
            self.paho.subscribe(text, qos=1)
            assert self.events.get(timeout=WAIT_S) == "subscribed", text

    def publish(self, topic: str, payload: bytes = b"x", retain: bool = False) -> None:
        """Publish, and wait until the broker has answered, whatever it said."""
        self.paho.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def taken(self) -> list[tuple[str, bytes, bool]]:
        """Return what came so far."""
        return [self.got.get_nowait() for _ in range(self.got.qsize())]

    def die(self) -> None:
        """Go without a word."""
        sock: Any = self.paho.socket()
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()

    def close(self) -> None:
        """Say goodbye."""
        self.paho.disconnect()
        self.paho.loop_stop()
