"""Several servers of one centre as processes, a Mosquitto, a node that keeps its promise, and a person who labels."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import cv2
import httpx
import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from central import mosquitto
from central.embedded import CENTRE
from central.mosquitto import Listener
from central.releases.signing import KEYS, ONLINE, prepare
from central.store import database as database_store
from edge.sources import frame_id
from protocols import codec, topics, trust
from protocols.messages import (
    Assessment,
    Chunk,
    Command,
    Detection,
    Fetch,
    FrameMessage,
    Receipt,
    Reply,
    Selection,
    Status,
    utc_now,
)
from tests.system import rig
from tests.system.rig import NODE_PASSWORD, Process, until

P: Final = topics.DEFAULT_PREFIX
RESEND_S: Final = 2.0
"""As a node: what has no receipt is sent again."""
GAP_S: Final = 0.05
TRY_S: Final = 60.0


def broker(folder: Path, port: int) -> Process:
    """Start a real Mosquitto with our access rules."""
    folder.mkdir(parents=True)
    users = {CENTRE: NODE_PASSWORD, "n1": NODE_PASSWORD}
    (folder / "passwords").write_text("".join(f"{u}:{mosquitto.password(p)}\n" for u, p in users.items()))
    (folder / mosquitto.RULES).write_text(mosquitto.rules(P))
    (folder / mosquitto.CONFIG).write_text(mosquitto.settings(folder, [Listener(port, "127.0.0.1")]))
    for name in ("passwords", mosquitto.RULES, mosquitto.CONFIG):
        (folder / name).chmod(0o600)
    return Process([mosquitto.find() or "mosquitto", "-c", str(folder / mosquitto.CONFIG)], folder / "log")


def frame(sequence: int) -> FrameMessage:
    """Return a sound frame of the node ``n1``."""
    image = np.random.default_rng(sequence).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    data, now = cv2.imencode(".jpg", image)[1].tobytes(), utc_now()
    return FrameMessage(
        id=frame_id(now), node="n1", boot="b1", sequence=sequence, camera="c1", time=now, width=64, height=48,
        assessment=Assessment(uncertainty=0.5, reasons={"uncertainty": "two classes compete"}),
        selection=Selection(keep=True, probability=0.25, reason="uncertain", policy="budget"),
        detections=[Detection(box=(1.0, 2.0, 30.0, 40.0), label="car", score=0.4)],
        sha256=hashlib.sha256(data).hexdigest(), image=data,
    )  # fmt: skip


@dataclass
class Server:
    """One server; `ends` are the times at which it died or was told to."""

    name: str
    folder: Path
    database: str
    blobs: Path
    broker_port: int
    port: int = field(default_factory=rig.free_port)
    process: Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Where everything is that it shares with others."""
        return {
            "WAYSIDE_DATABASE_URL": self.database,
            "WAYSIDE_BLOB_URL": f"file://{self.blobs}",
            "WAYSIDE_BROKER_URL": f"mqtt://%40centre:{NODE_PASSWORD}@127.0.0.1:{self.broker_port}",
        }

    def start(self) -> Server:
        """Start it, or start it again."""
        own = {"SERVER_NAME": self.name, "PROPOSE": "false", "DRAIN_S": "0.5", "DRIFT_EVERY_H": "0"}
        line = rig.command("central", "serve", "--data", self.folder, "--port", str(self.port))
        more = self.environment | {f"WAYSIDE_{name}": value for name, value in own.items()}
        self.process = Process(line, self.folder / "serve.log", **more)
        return self

    @property
    def said(self) -> str:
        """All that it wrote."""
        return (self.folder / "serve.log").read_text(errors="replace")

    def ready(self) -> dict[str, Any] | None:
        """Return what it says of itself where it is ready."""
        assert self.process is not None
        assert self.process.popen.poll() is None, self.said[-3000:]
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/ready", timeout=5)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None  # type: ignore[no-any-return]


class Balancer:
    """Asks the servers in turn, and the next one where one does not answer; `token` logs in at all of them."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._ports = itertools.cycle([server.port for server in servers])
        self._lock = threading.Lock()
        self.token = ""
        self.turned_away = 0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer of a server that has one. Fails after TRY_S seconds."""
        deadline = time.monotonic() + TRY_S
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        while time.monotonic() < deadline:
            with self._lock:
                port = next(self._ports)
            try:
                url = f"http://127.0.0.1:{port}/api/v1{path}"
                answer = httpx.request(method, url, json=body, headers=headers, timeout=10)
            except httpx.HTTPError:
                self.turned_away += 1
                time.sleep(0.05)
                continue
            if answer.status_code >= 500:
                time.sleep(0.1)
                continue
            return answer
        raise AssertionError(f"{method} {path}: no server answered within {TRY_S:.0f} s")


class Node:
    """A node at the far end of a real connection: it numbers its frames, keeps them until their receipts, answers
    commands, and asks again and again for what the centre signed."""

    def __init__(self, port: int) -> None:
        self.sent: dict[str, FrameMessage] = {}
        self._due: dict[str, float] = {}
        self.versions: list[int] = []
        self.asked: list[str] = []
        self.releases: list[int] = []
        self.pieces: list[tuple[int, str]] = []
        """Of packs: bytes, and the error where there is one."""
        self._lock, self._over = threading.Lock(), threading.Event()
        self.publishing = True
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.paho.username_pw_set("n1", NODE_PASSWORD)
        self.paho.on_connect = lambda c, *_: c.subscribe([(f, 1) for f in topics.subscriptions(P, "node", "n1")])
        self.paho.on_message = self._heard
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        self._send("status", Status(state="online", node="n1", boot="b1", time=utc_now(), site="north"))
        self._thread = threading.Thread(target=self._work, daemon=True)

    def begin(self) -> None:
        """Begin to send frames."""
        self._thread.start()

    def _send(self, channel: str, message: Any) -> None:
        retain = topics.CHANNELS[channel].retained
        self.paho.publish(topics.build(P, "n1", channel), codec.encode(channel, message), qos=1, retain=retain)

    def _heard(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        channel = topics.parse(P, message.topic).channel
        if not message.payload:
            return
        got = codec.decode(channel, bytes(message.payload))
        if isinstance(got, Receipt):
            with self._lock:
                for frame in got.ids:
                    self._due.pop(frame, None)
        elif isinstance(got, Command):
            self.asked.append(got.id)
            self._send("reply", Reply(id=got.id, node="n1", ok=True, detail="done", time=utc_now()))
        elif isinstance(got, Chunk) and got.name.startswith(trust.FOLDER):
            self.versions.append(int(json.loads(got.data)["signed"]["version"]))
        elif isinstance(got, Chunk):
            self.pieces.append((len(got.data), got.error))
        elif channel == "release":
            self.releases.append(got.number)  # type: ignore[union-attr]

    def _work(self) -> None:
        for number in itertools.count():
            if self._over.wait(GAP_S):
                return
            now = time.monotonic()
            with self._lock:
                again = [self.sent[frame] for frame, due in self._due.items() if due < now]
            for message in again:
                self._put(message, now)
            if self.publishing:
                self._put(frame(len(self.sent)), now)
            if number % 10 == 0:
                self.fetch(f"{trust.FOLDER}/timestamp.json")

    def fetch(self, name: str, offset: int = 0) -> None:
        """Ask for 64 KiB of a file."""
        self._send("fetch", Fetch(request=uuid.uuid4().hex, name=name, offset=offset, length=65536))

    def _put(self, message: FrameMessage, now: float) -> None:
        with self._lock:
            self.sent[message.id], self._due[message.id] = message, now + RESEND_S
        self._send("frames", message)

    @property
    def waiting(self) -> int:
        """Frames without a receipt."""
        with self._lock:
            return len(self._due)

    def close(self) -> None:
        """Go."""
        self._over.set()
        self._thread.join(5)
        self.paho.disconnect()
        self.paho.loop_stop()


class Person:
    """Labels whatever waits, through the balancer; `kept` are the boxes of each answer that was acknowledged."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer, self._over = balancer, threading.Event()
        self.kept: dict[str, tuple[int, list[float]]] = {}
        self.failure = ""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def begin(self) -> None:
        """Begin to label."""
        self._thread.start()

    def _work(self) -> None:
        draw = 0
        try:
            while not self._over.wait(0.05):
                draw += 1
                self._one([1.0 + draw % 20, 2.0, 40.0, 30.0 + draw % 10])
        except Exception as error:
            self.failure = repr(error)

    def _one(self, box: list[float]) -> None:
        frame = self._balancer.ask("POST", "/queue/next", {"skip": []}).json()["frame"]
        if frame is None:
            return
        body = {"revision": frame["revision"], "boxes": [{"box": box, "label": "car"}], "complete_for": ["car"]}
        answer = self._balancer.ask("PUT", f"/frames/{frame['id']}/labels", body)
        assert answer.status_code == 200, answer.text
        self.kept[frame["id"]] = (answer.json()["revision"], box)

    def end(self) -> None:
        """Stop, having finished the last one."""
        self._over.set()
        self._thread.join(TRY_S)
        assert not self.failure, self.failure


@dataclass
class World:
    """Two servers, a broker, a node and a person."""

    servers: list[Server]
    database: str
    node: Node
    balancer: Balancer
    mosquitto: Process

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the database says."""
        return rows(self.database, query)

    def holder(self, duty: str = "fleet") -> Server | None:
        """Return the server that has `duty` and lives."""
        of = "SELECT server.name FROM duty JOIN server ON server.id = duty.holder"
        found = self.rows(f"{of} WHERE duty.name='{duty}'")
        return next((s for s in self.servers if found and s.name == found[0][0]), None)

    def close(self) -> None:
        """End everything."""
        self.node.close()
        for server in self.servers:
            if server.process is not None:
                server.process.kill()
        self.mosquitto.kill()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return what the database at `url` says."""

    async def work() -> list[tuple[Any, ...]]:
        from sqlalchemy import text

        database = database_store.connect(url)
        try:
            async with database.read() as session:
                return [tuple(row) for row in await session.execute(text(query))]
        finally:
            await database.close()

    return asyncio.run(work())


def world(folder: Path, database: str) -> World:
    """Start everything; both servers at the same moment, on an empty database."""
    blobs, port = folder / "blobs", rig.free_port()
    blobs.mkdir()
    started = broker(folder / "broker", port)
    servers = [Server(name, folder / name, database, blobs, port) for name in ("one", "two")]
    first = servers[0].folder
    first.mkdir()
    prepare(first, [folder / "root.pem"], 1)
    for server in servers[1:]:
        (server.folder / KEYS).mkdir(parents=True)
        shutil.copy(first / KEYS / ONLINE, server.folder / KEYS / ONLINE)
        shutil.copytree(first / trust.FOLDER, server.folder / trust.FOLDER)
    for server in servers:
        server.start()
    balancer = Balancer(servers)
    try:
        until(lambda: all(server.ready() for server in servers), "the servers are not ready")
        node = Node(port)
    except BaseException:
        for server in servers:
            if server.process is not None:
                server.process.kill()
        started.kill()
        raise
    found = next(m[1] for s in servers if (m := re.search(r"Password +(\S+)", s.said)))
    answer = balancer.ask("POST", "/session", {"name": "admin", "password": found})
    assert answer.status_code == 200, answer.text
    balancer.token = answer.json()["token"]
    return World(servers, database, node, balancer, started)


_LINE: Final = re.compile(
    r"^(?P<at>\S+) \[.*?\] (?P<what>a duty is this server's(?: no more)?|a duty is given back|no beat was stored.*?) .*"
    r"duty=(?P<duty>\S+)",
    re.MULTILINE,
)


def spans(said: str, ends: Sequence[datetime]) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return from when to when a server did each duty, by what it `said`; its processes died at `ends`."""
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    begun: dict[str, datetime] = {}
    for match in _LINE.finditer(re.sub(r"\x1b\[[0-9;]*m", "", said)):
        at, duty = datetime.fromisoformat(match["at"].replace("Z", "+00:00")), match["duty"]
        for name in [n for n, since in begun.items() if any(since <= end <= at for end in ends)]:
            since = begun.pop(name)
            found.setdefault(name, []).append((since, min(e for e in ends if e >= since)))
        if match["what"] == "a duty is this server's":
            begun[duty] = at
        elif duty in begun:
            found.setdefault(duty, []).append((begun.pop(duty), at))
    for duty, since in begun.items():
        found.setdefault(duty, []).append((since, min((e for e in ends if e >= since), default=utc_now())))
    return found


def twice(everyone: Sequence[dict[str, list[tuple[datetime, datetime]]]]) -> list[str]:
    """Return the duties that two servers did at the same time."""
    found = []
    for duty in {name for one in everyone for name in one}:
        ordered = sorted(span for one in everyone for span in one.get(duty, []))
        found += [duty for (_, end), (begin, _) in itertools.pairwise(ordered) if begin < end]
    return found
