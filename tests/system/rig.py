"""Whole programs in processes of their own, as a newcomer starts them, and a small pack that they run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from central.annotate.client import Client, ClientError
from central.api.schemas import BoxBody, NodeView, Overview
from central.releases.signing import FIRST_ROOT, prepare
from edge.spool import unpack_record
from protocols import codec
from protocols.messages import FrameMessage

ROOT: Final = Path(__file__).parents[2]
WAIT_S: Final = 90.0
"""For anything to come about; generous, as machines that test are busy."""
STOP_S: Final = 20.0
STREET: Final = "street:seed=3,width=320,height=192,fps=10"
LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
NODE_PASSWORD: Final = "a-password-of-the-test"
T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, seconds: float = WAIT_S) -> T:
    """Return what `look` returns as soon as that is something; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s: {what}")
        time.sleep(0.1)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Return the environment of this process without settings of ours, with `more`."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("WAYSIDE_")}
    paths = os.pathsep.join(p for p in (str(ROOT), plain.get("PYTHONPATH", "")) if p)
    # One thread each: on few cores, many processes whose threads wait for each other by spinning are many times slower.
    return {**plain, "PYTHONPATH": paths, "COLUMNS": "200", "OMP_NUM_THREADS": "1", **more}


def command(program: str, *words: str | Path) -> list[str]:
    """Return the command line of ``wayside-<program>`` with `words`."""
    return [sys.executable, "-m", f"{program}.cli", *(str(w) for w in words)]


def call(program: str, *words: str | Path, seconds: float = WAIT_S, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``wayside-<program>`` to its end."""
    return subprocess.run(
        command(program, *words), capture_output=True, text=True, timeout=seconds, check=False, env=environment(**env)
    )


def one_line(done: subprocess.CompletedProcess[str], *says: str, status: int = 2) -> str:
    """Return the one line on standard error of `done`, checked for status and for what it says."""
    assert done.returncode == status, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for text in says:
        assert text in lines[0]
    return lines[0]


class Process:
    """A program that runs; what it says goes to a file."""

    def __init__(self, line: Sequence[str], log: Path, **env: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(**env), start_new_session=True
            )

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it without a word."""
        self.popen.kill()
        self.popen.wait(STOP_S)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it does not stop: {self.said[-500:]}") from None


def children(pid: int) -> dict[int, str]:
    """Return the processes that `pid` started, with their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                found[int(folder.name)] = line
    return found


class Running:
    """What runs in a process of its own, once it was started."""

    process: Process | None

    def stop(self) -> int:
        """Ask it to end."""
        return self.process.stop() if self.process else 0

    def kill(self) -> None:
        """End it without a word."""
        if self.process:
            self.process.kill()


@dataclass
class Node(Running):
    """``wayside-edge run`` with one synthetic camera."""

    name: str
    folder: Path
    broker_port: int
    pack: Path
    source: str = STREET
    per_hour: int = 36_000
    process: Process | None = None
    rate: int | None = None
    """Bytes per second at which it fetches packs."""

    def start(self) -> Node:
        """Start it, or start it again. It trusts the centre in the folder ``central`` beside its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        centre, config = self.folder.parent / "central", self.folder / "node.yaml"
        root = centre / "trust" / FIRST_ROOT
        if not root.exists():
            prepare(centre, [centre / "keys" / "root.pem"], 1)
        config.write_text(
            json.dumps(
                {
                    "node": self.name, "site": "test", "data": str(self.folder / "data"),
                    "mqtt": {
                        "port": self.broker_port, "username": self.name, "password": NODE_PASSWORD,
                        "backoff_cap_s": 0.5, "receipt_timeout_s": 3,
                    },
                    "model": {"pack": str(self.pack)},
                    "updates": {
                        "root": str(root), "shadow_frames": 5, "shadow_share": 1, "max_bytes_per_s": self.rate,
                    },
                    "cameras": {"gate": {"source": self.source, "fps": 5, "loop": True}},
                    "policy": {"frames_per_hour": self.per_hour, "min_gap_s": 0.1},
                    "metrics": {"health_interval_s": 0.5},
                }
            )
        )  # fmt: skip
        self.process = Process(command("edge", "run", "--config", config), self.folder / "node.log")
        return self

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def spooled(self) -> list[str]:
        """Ids of the frames that wait for their receipts."""
        return [p.stem.split("-", 2)[2] for p in (self.data / "spool").glob("*.frame")]

    @property
    def waiting(self) -> list[tuple[str, int]]:
        """Boot and sequence of the frames in its spool."""
        found = []
        for path in (self.data / "spool").glob("*.frame"):
            message = codec.decode("frames", unpack_record(path.read_bytes()) or b"")
            assert isinstance(message, FrameMessage)
            found.append((message.boot, message.sequence))
        return found

    @property
    def journal(self) -> dict[str, Any]:
        """What it wrote down about its updates."""
        try:
            found: dict[str, Any] = json.loads((self.data / "update.json").read_text())
        except FileNotFoundError:
            return {}
        return found


@dataclass
class Centre(Running):
    """``wayside-central serve``. `broker_url` None means its own broker."""

    folder: Path
    pack: Path
    nodes: tuple[str, ...]
    broker_url: str | None = None
    port: int = field(default_factory=free_port)
    broker_port: int = field(default_factory=free_port)
    process: Process | None = None
    client: Client | None = None

    def start(self) -> Centre:
        """Start it, or start it again, and wait until it is ready."""
        own = self.folder / "broker"
        if not own.is_dir():
            own.mkdir(parents=True)
            (own / "users.json").write_text(json.dumps(dict.fromkeys(self.nodes, NODE_PASSWORD)))
        words = ["serve", "--data", str(self.folder), "--port", str(self.port), "--broker-port", str(self.broker_port)]
        env = {"WAYSIDE_BROKER_URL": self.broker_url} if self.broker_url else {}
        line = command("central", *words)
        self.process = Process(line, self.folder / "serve.log", WAYSIDE_PACK=str(self.pack), **env)
        until(self._ready, "the centre is not ready")
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.popen.poll() is None, self.process.said
        if self.client is None:
            password = re.search(r"Password +(\S+)", self.process.said)
            if password is None:
                return False
            try:
                self.client = Client.login(self.url, "admin", password[1])
            except ClientError:
                return False
        try:
            self.client.overview()
        except ClientError:
            return False
        return True

    @property
    def url(self) -> str:
        """Where its UI is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> Client:
        """The API, logged in as admin."""
        assert self.client is not None
        return self.client

    def look(self) -> Overview | None:
        """Return the overview; None while the centre does not answer."""
        try:
            return self.api.overview()
        except ClientError:
            return None

    def frames(self) -> int:
        """Return how many frames are stored."""
        seen = self.look()
        return seen.totals.frames if seen else 0

    def node(self, name: str) -> NodeView | None:
        """Return what it knows of a node."""
        seen = self.look()
        return next((n for n in seen.nodes if n.node == name), None) if seen else None

    def broker_pid(self) -> int | None:
        """Return the process of its own broker."""
        assert self.process is not None
        of = children(self.process.popen.pid)
        return next((pid for pid, line in of.items() if "mosquitto.conf" in line or "central.embedded" in line), None)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what its database says, read behind its back."""
        with sqlite3.connect(f"file:{self.folder / 'central.db'}?mode=ro", uri=True, timeout=30) as database:
            found = database.execute(query).fetchall()
        database.close()
        return found


@dataclass
class World:
    """A centre and its node."""

    centre: Centre
    node: Node
    broker: Process | None = None

    def running(self) -> World:
        """Start what does not run, and wait until the node is online."""
        assert self.centre.process is None or self.centre.process.popen.poll() is None
        if self.node.process is None or self.node.process.popen.poll() is not None:
            self.node.start()
        until(self._online, "the node is not online")
        return self

    def _online(self) -> bool:
        seen = self.centre.node(self.node.name)
        return seen is not None and seen.state == "online"

    def more_frames(self, count: int = 3) -> None:
        """Wait until `count` further frames are stored."""
        before = self.centre.frames()
        until(lambda: self.centre.frames() >= before + count, "no further frame is stored")

    def label(self, count: int) -> None:
        """Answer `count` frames as a person would: one box each, complete for every class."""
        done = 0
        while done < count:
            for frame in self.centre.api.queue(count - done).items:
                box = BoxBody(box=(8.0, 8.0, frame.width / 2, frame.height / 2), label="car")
                self.centre.api.label(frame.id, frame.revision, [box], LABELS)
                done += 1
            time.sleep(0.2)

    def accounted(self) -> None:
        """Stop the node once its spool was empty; fail unless each of its frames is stored once, or waits."""
        until(lambda: not self.node.spooled, "the spool does not become empty")
        self.node.stop()
        places = self.centre.rows("SELECT boot, sequence FROM frame")
        assert len(set(places)) == len(places)
        known = {*places, *self.node.waiting}
        for boot in {boot for boot, _ in known}:
            numbers = sorted(n for b, n in known if b == boot)
            assert numbers == list(range(len(numbers))), f"boot {boot}: frames are missing"

    def close(self) -> None:
        """End everything."""
        self.node.kill()
        self.centre.kill()
        if self.centre.client is not None:
            self.centre.client.close()
        if self.broker is not None:
            self.broker.kill()


def embedded_broker(folder: Path, port: int, users: dict[str, str]) -> Process:
    """Start the embedded broker by itself, as somebody may who gives it with --broker-url."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.json").write_text(json.dumps(users))
    # Its standard input must stay open: its end is the broker's.
    script = 'sleep 600 | exec "$0" -m central.embedded --port "$1" --credentials "$2"'
    return Process(["sh", "-c", script, sys.executable, str(port), str(folder / "users.json")], folder / "broker.log")


def make_pack(folder: Path, name: str = "small", seed: int = 0) -> Path:
    """Return the file of an untrained pack of the smallest size, whose boxes all count."""
    import msgspec
    import torch

    from central.learn.models import ModelConfig, build
    from export import build as making
    from protocols.pack import SUFFIX, archive

    torch.manual_seed(seed)
    config = ModelConfig(size="tiny", labels=LABELS, height=96, width=160, top_k=10)
    network = build(config)
    about = making.Ingredients(
        name=name, size="tiny", labels=LABELS, config=msgspec.to_builtins(config), height=96, width=160,
        score_threshold=0.001, producer="the tests",
    )  # fmt: skip
    pack = making.build(network, about, folder / name, making.noise_frames(2, 96, 160))
    path = folder / f"{name}{SUFFIX}"
    path.write_bytes(archive(pack))
    shutil.rmtree(folder / name)
    return path
