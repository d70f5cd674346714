"""No secret pixel leaves: a pattern on all that must be hidden is looked for in everything a node writes and sends.

    camera (the pattern on a head, under a mask, on a plate) -> the real node -> files, broker, logs -> JPEGs in them

The search takes pictures out of files, MQTT payloads and text (base64), at full size and at that of a thumbnail. Each
planted bug must be found by it.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import structlog

from edge import camera as cameras
from edge import logs, node
from edge.agent import Agent
from edge.config import NodeConfig
from edge.mqtt import MemoryBroker
from edge.redact import Redactor, Regions
from edge.redact.finder import PackFinder
from edge.runtime import Detections, Inference, RuntimeFault
from edge.sources import Image
from protocols import codec, topics
from protocols import pack as packs
from protocols.messages import Command, FrameMessage, Reply
from protocols.pack import Input, Manifest, Pack
from tests.edge.test_agent import until

CELL, SIDE = 4, 14
PATTERN: Image = np.kron(np.random.default_rng(7).integers(0, 2, (SIDE, SIDE)), np.ones((CELL, CELL))).astype(np.uint8)
PATTERN = np.repeat(PATTERN[:, :, None] * 255, 3, axis=2)
PLACES = {"head": (212, 102), "mask": (20, 380), "plate": (500, 400)}
"""Upper left corner of each pattern, x and y."""
PERSON = (200.0, 100.0, 280.0, 340.0)
PLATE = (495.0, 395.0, 561.0, 461.0)
MASK = [[0.0, 0.75], [0.2, 0.75], [0.2, 0.95], [0.0, 0.95]]
ALIKE = 0.5
"""Correlation from which a place shows the pattern: a JPEG of quality 10 has 0.9, what was hidden below 0.4."""
PREFIX = "wayside/v1"
NAMES = {"head": 0, "plate": 1}


def scene(seed: int) -> Image:
    """Return a picture ``[480, 640, 3]`` with the pattern at its places."""
    image = np.random.default_rng(seed).integers(90, 110, (480, 640, 3), dtype=np.uint8)
    for x, y in PLACES.values():
        image[y : y + len(PATTERN), x : x + len(PATTERN)] = PATTERN
    return image


def places(image: Image) -> set[str]:
    """Return where in `image` the pattern can be seen."""
    scale = image.shape[1] / 640
    side = round(len(PATTERN) * scale)
    wanted = cv2.resize(PATTERN, (side, side), interpolation=cv2.INTER_AREA)
    found = set()
    for name, (x, y) in PLACES.items():
        left, top = max(0, int(x * scale) - 3), max(0, int(y * scale) - 3)
        part = image[top : top + side + 6, left : left + side + 6]
        if part.shape[0] >= side and cv2.matchTemplate(part, wanted, cv2.TM_CCOEFF_NORMED).max() > ALIKE:
            found.add(name)
    return found


def pictures(data: bytes) -> Iterator[Image]:
    """Yield every JPEG in `data`, also those in base64."""
    texts = re.findall(rb"[A-Za-z0-9+/]{200,}={0,2}", data)
    for part in (data, *(base64.b64decode(t + b"=" * (-len(t) % 4)) for t in texts)):
        for match in re.finditer(rb"\xff\xd8\xff", part):
            image = cv2.imdecode(np.frombuffer(part[match.start() :], np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                yield np.asarray(image, np.uint8)


def leaks(data: bytes) -> set[str]:
    """Return which patterns can be seen in `data`: in a picture in it, or as bare pixels."""
    bare = {"bare pixels"} if PATTERN[0].tobytes() in data else set()
    return bare.union(*(places(image) for image in pictures(data)))


class Eyes:
    """A model that knows where the person and the plate are, and notes what it was shown."""

    backend_name = "fake"

    def __init__(self, pack: Pack, label: str = "person", box: tuple[float, ...] = PERSON) -> None:
        self.pack, self.box = pack, box
        self.labels: tuple[str, ...] = (label,)
        self.shown: set[str] = set()
        self.count = 0

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        self.count += 1
        self.shown |= places(image)
        if self.count % 5 == 4 and self.labels == ("person",):
            raise RuntimeFault("planted, so that something is logged")
        boxes = np.array([self.box], np.float32)
        return Inference(Detections(boxes, np.array([0.9], np.float32), np.zeros(1, np.int64)))

    def close(self) -> None:
        pass


class World:
    """A whole node as `edge.node.build` makes it, with eyes of the test's and a broker in memory."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "film").mkdir()
        for i in range(6):
            cv2.imwrite(str(folder / "film" / f"{i}.png"), scene(i))
        (folder / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
        manifest = Manifest(name="eyes", labels=["person"], input=Input(height=64, width=64))
        pack = packs.create(folder / "pack", manifest, {"model.onnx": b"x" * 100})
        self.eyes, plates = Eyes(pack), Eyes(pack, "plate", PLATE)
        finder = PackFinder(plates, Regions(frozenset({"plate"}), "blur"))
        monkeypatch.setattr(node, "opener", lambda config: lambda pack: self.eyes)
        monkeypatch.setattr(node, "finders_of", lambda config: [finder])
        config = NodeConfig.model_validate(
            {
                "node": "n1", "data": folder / "data", "mqtt": {"backoff_cap_s": 0.1},
                "model": {"pack": str(folder / "pack")},
                "cameras": {"gate": {"source": str(folder / "film"), "loop": True, "fps": 50}},
                "policy": {"policy": "all", "min_gap_s": 0, "frames_per_hour": 3_600_000},
                "redact": {"masks": [MASK]},
                "metrics": {"health_interval_s": 0.5, "events_interval_s": 0.5},
            }
        )  # fmt: skip
        self.folder, self.broker, self.sent = folder, MemoryBroker(), list[tuple[str, bytes]]()
        self.broker.watch(lambda topic, payload: self.sent.append((topic, payload)))
        self.broker.down = True
        self.agent: Agent = node.build(config, self.broker)

    def live(self) -> None:
        """Watch without a broker, then with one; ask for a snapshot; stop."""
        thread = threading.Thread(target=self.agent.run, daemon=True)
        thread.start()
        try:
            until(lambda: len(self.agent.spool) >= 4)
            self.on_disk = self.written()
            self.broker.down = False
            until(lambda: len(self.of("frames")) >= 4)
            ask = codec.encode("command", Command(id="1", action="snapshot"))
            self.broker.publish(topics.build(PREFIX, "n1", "command"), ask)
            until(lambda: bool(self.of("reply")))
        finally:
            self.agent.stop()
            thread.join(10)

    def of(self, channel: str) -> list[Any]:
        """Return the messages of `channel` that were sent."""
        return [codec.decode(channel, p) for t, p in list(self.sent) if topics.parse(PREFIX, t).channel == channel]

    def written(self) -> bytes:
        """Return the bytes of every file that the node wrote."""
        kept = [p for name in ("data", "tmp") for p in (self.folder / name).rglob("*") if p.is_file()]
        return b"".join(p.read_bytes() for p in kept)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    before = structlog.get_config()
    logs.set_up(as_json=True, verbose=True)
    yield World(tmp_path, monkeypatch)
    structlog.configure(**before)


def found(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, set[str]]:
    """Let `world` live; return what leaked, by way."""
    world.live()
    said = "".join(capsys.readouterr())
    sent = b"\0".join(payload for _, payload in world.sent)
    assert "planted" in said, "the log was not looked at"
    assert any(True for _ in pictures(world.on_disk)) and any(True for _ in pictures(sent)), "nothing to look at"
    ways = {"disk": leaks(world.on_disk + world.written()), "broker": leaks(sent), "log": leaks(said.encode())}
    return {way: what for way, what in ways.items() if what}


def test_nothing_secret__reaches_spool_broker_or_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(world, capsys) == {}
    assert world.eyes.shown == {"head", "plate"}, "the model sees everything but what is masked"
    frame: FrameMessage = world.of("frames")[0]
    assert [(r.kind, r.method) for r in frame.redactions] == [
        ("mask", "fill"), ("region", "pixelate"), ("region", "blur"),
    ]  # fmt: skip
    reply: Reply = world.of("reply")[0]
    assert reply.ok and reply.image


def _nothing(*_: Any) -> Any:
    return []


def _shown(self: Redactor, image: Image, detections: list[Any]) -> tuple[Image, list[Any]]:
    return image, []


def _unmasked(self: Redactor, image: Image) -> Image:
    return image


def _whole(self: cameras.Camera) -> bytes | None:
    return None if self._latest is None else cameras.encode_jpeg(self._latest[0], 80)


def _told(self: Agent, kept: cameras.Kept) -> None:
    data = base64.b64encode(cameras.encode_jpeg(kept.frame.image, 80)).decode()
    structlog.get_logger("edge.test").warning("kept", image=data)
    _keep(self, kept)


_keep = Agent._keep
BUGS: dict[str, tuple[Any, str, Callable[..., Any], dict[str, set[str]]]] = {
    "the mask is forgotten": (Redactor, "mask", _unmasked, {"disk": {"mask"}, "broker": {"mask"}}),
    "regions are forgotten": (
        Redactor, "hide", _shown, {"disk": {"head", "plate"}, "broker": {"head", "plate"}},
    ),
    "the detector is not asked": (PackFinder, "find", _nothing, {"disk": {"plate"}, "broker": {"plate"}}),
    "the thumbnail is not redacted": (cameras.Camera, "thumbnail", _whole, {"broker": {"head", "plate"}}),
    "a frame is logged": (Agent, "_keep", _told, {"log": {"head", "plate"}}),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug__is_found(
    world: World, bug: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, replacement, expected = BUGS[bug]
    monkeypatch.setattr(owner, name, replacement)
    assert found(world, capsys) == expected


@pytest.mark.parametrize("quality", [10, 90])
@pytest.mark.parametrize("width", [640, 320])
def test_search__finds_the_pattern_however_it_is_wrapped(quality: int, width: int) -> None:
    image = cv2.resize(scene(1), (width, width * 3 // 4), interpolation=cv2.INTER_AREA)
    data = cameras.encode_jpeg(np.asarray(image, np.uint8), quality)
    assert leaks(b"head" + data + b"tail") == leaks(b'{"a": "' + base64.b64encode(data) + b'"}') == set(PLACES)
    assert leaks(PATTERN.tobytes()) == {"bare pixels"}
