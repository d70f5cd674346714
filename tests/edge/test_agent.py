"""The node as a whole, with cameras and models that a test makes up and a broker in memory."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest

from edge import agent as agents
from edge.agent import Agent, Outside
from edge.assess.health import Health as CameraCheck
from edge.camera import AUDIT_REASON, AUDIT_VALUE, Image, Parts, value_of
from edge.config import NodeConfig
from edge.metrics import CameraState
from edge.mqtt import MemoryBroker
from edge.runtime import Detections, Inference, RuntimeFault
from edge.select import Selector
from edge.select.quota import Quota
from edge.sources import Frame
from edge.spool import Spool
from edge.update import UpdateError
from edge.update.fetchers.link import LinkFetcher
from edge.update.updater import Identity, Proof, Updater
from protocols import codec, slots, topics
from protocols import pack as packs
from protocols.messages import (
    Assessment,
    Chunk,
    Command,
    Detection,
    Event,
    Fetch,
    FrameMessage,
    Health,
    Policy,
    Receipt,
    Redaction,
    Release,
    Reply,
    Selection,
    Status,
    Update,
    utc_now,
)
from protocols.pack import Input, Manifest, Pack
from protocols.transfer import NOT_THERE
from protocols.trust.verify import Approved

PREFIX = "wayside/v1"


def until(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


class FakeReader:
    """A camera that delivers what the test pushes."""

    public_source = "fake"

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: CameraState = "watching"
        self.detail, self.dropped = "", 0
        self.queue: deque[Frame] = deque()
        self.count = 0
        self.starts = self.closes = 0
        self.ended = self.hangs = self.silent = False

    def push(self, value: int = 100, width: int = 640, height: int = 480) -> None:
        self.count += 1
        self.queue.append(Frame.now(np.full((height, width, 3), value, np.uint8), self.name, self.count))

    @property
    def over(self) -> bool:
        return self.ended and not self.queue

    def start(self) -> None:
        self.starts += 1

    @property
    def alive(self) -> bool:
        return self.hangs

    def stalled(self, now: float) -> bool:
        return self.silent

    def get(self, timeout_s: float) -> Frame | None:
        if not self.queue:
            time.sleep(timeout_s)
        return self.queue.popleft() if self.queue else None

    def pause(self) -> None:
        self.state = "paused"

    def resume(self) -> None:
        self.state = "watching"

    def close(self) -> None:
        self.closes += 1


class FakeModel:
    """Sees one car in each frame; fails as its pack's name says."""

    labels: tuple[str, ...] = ("car",)
    backend_name = "fake"

    def __init__(self, pack: Pack) -> None:
        self.pack, self.seen, self.closed = pack, 0, False

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        assert not self.closed
        self.seen += 1
        if self.pack.manifest.name == "bad" or int(image[-1, -1, 0]) == 13:
            raise RuntimeFault("planted")
        boxes = np.array([[1, 2, 30, 40]], np.float32)
        found = Detections(boxes, np.array([0.5], np.float32), np.zeros(1, np.int64))
        return Inference(found, embedding=np.array([0.6, 0.8], np.float32))

    def close(self) -> None:
        self.closed = True


class FakeAssessor:
    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Assessment:
        return Assessment(uncertainty=0.5)

    def selected(self, inference: Inference) -> None:
        pass


class FakeRedactor:
    """Blackens the upper left corner before, and what was detected after the model."""

    problem = ""

    def expect(self, labels: tuple[str, ...]) -> None:
        pass

    def mask(self, image: Image) -> Image:
        image = image.copy()
        image[:50, :50] = 0
        return image

    def hide(self, image: Image, detections: list[Detection]) -> tuple[Image, list[Redaction]]:
        return image, [Redaction(kind="mask", method="fill", box=(0, 0, 50, 50))]


class KeepAll:
    def __init__(self, policy: Policy) -> None:
        self.policy, self.quota = policy, Quota(policy)

    def most_bytes(self) -> int | None:
        return None

    def settle(self, size: int) -> None:
        self.quota.history.settle(size)

    def follow(self, other: Selector) -> None:
        self.quota.history = other.quota.history

    def decide(self, assessment: Assessment, now: float, inference: Inference | None = None) -> Selection:
        return Selection(keep=True, probability=1.0, reason="all", policy=self.policy.policy)


def make_pack(folder: Path, name: str) -> Pack:
    manifest = Manifest(name=name, labels=["car"], input=Input(height=64, width=64))
    return packs.create(folder / name, manifest, {"model.onnx": name.encode() * 3000})


class World:
    """A node with two cameras, and a centre that receipts and answers fetches."""

    def __init__(self, folder: Path, **mqtt: Any) -> None:
        self.folder = folder
        (folder / "data" / "packs").mkdir(parents=True)
        self.config = NodeConfig.model_validate(
            {
                "node": "n1", "data": folder / "data", "cameras": {
                    "a": {"source": "x", "tags": ["indoor"], "latitude": 1.5, "longitude": -2.0}, "b": "y",
                },
                "mqtt": {"backoff_cap_s": 0.1, **mqtt},
                "metrics": {"health_interval_s": 0.5, "events_interval_s": 0.5},
            }
        )  # fmt: skip
        self.broker = MemoryBroker()
        self.broker.watch(self._centre)
        self.seen: list[Any] = []
        self.receipting = True
        self.archives: dict[str, bytes] = {}
        self.readers: dict[str, FakeReader] = {}
        self.models: list[FakeModel] = []
        self.spool = Spool(folder / "data" / "spool", 10**8, 1000, reserve=4096)
        parts = {n: Parts(self._reader(n), lambda _: FakeAssessor(), FakeRedactor(), self._selector) for n in "ab"}
        outside = Outside(self.broker, self._open, parts, self._updater)
        self.agent = Agent(self.config, "boot", self._open(make_pack(folder, "first")), self.spool, outside)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.once = False
        self.ending = ""

    def _run(self) -> None:
        self.ending = self.agent.run(once=self.once)

    def _reader(self, name: str) -> Callable[[], FakeReader]:
        def make() -> FakeReader:
            self.readers[name] = FakeReader(name)
            return self.readers[name]

        return make

    def _selector(self, policy: Policy) -> Selector:
        if policy.policy == "nonsense":
            raise slots.SlotError("no 'nonsense'")
        return KeepAll(policy)

    def _open(self, pack: Pack) -> FakeModel:
        self.models.append(FakeModel(pack))
        return self.models[-1]

    def _updater(self, agent: Agent) -> Updater:
        def check(pack: Pack) -> str:
            if pack.manifest.name == "unequal":
                raise UpdateError("checking: off")
            return "ok"

        fetcher = LinkFetcher(self.config.data, lambda fetch: agent.link.send("fetch", fetch), chunk=1000, timeout=0.2)
        return Updater(
            self.config.data, Identity("n1", "boot"), agent, fetcher, agent.report_update,
            Proof(check, lambda host, pack, stop: None), self._approve,
        )  # fmt: skip

    def _approve(self, release: Release) -> Approved:
        archive = self.archives[release.pack]
        return Approved(length=len(archive), sha256=hashlib.sha256(archive).hexdigest())

    def _centre(self, topic: str, payload: bytes) -> None:
        channel = topics.parse(PREFIX, topic).channel
        if topics.CHANNELS[channel].sender != "node":
            return
        message = codec.decode(channel, payload)
        self.seen.append(message)
        if isinstance(message, FrameMessage) and self.receipting:
            self.send("receipts", Receipt(ids=[message.id]))
        if isinstance(message, Fetch):
            if not message.name.startswith("packs/"):
                absent = {"request": message.request, "name": message.name, "offset": 0, "total": 0}
                self.send("chunks", Chunk(**absent, error=NOT_THERE))
                return
            archive = self.archives[message.name.removeprefix("packs/")]
            data = archive[message.offset : message.offset + message.length]
            base: dict[str, Any] = {"request": message.request, "name": message.name, "offset": message.offset}
            self.send("chunks", Chunk(**base, total=len(archive), data=data))

    def send(self, channel: str, message: Any) -> None:
        self.broker.publish(topics.build(PREFIX, "n1", channel), codec.encode(channel, message))

    def of(self, kind: type) -> list[Any]:
        return [m for m in self.seen if isinstance(m, kind)]

    def ask(self, action: Any, camera: str = "") -> Reply:
        self.send("command", Command(id=f"{action}-{camera}", action=action, camera=camera))
        until(lambda: any(r.id == f"{action}-{camera}" for r in self.of(Reply)))
        reply = self.of(Reply)[-1]
        assert isinstance(reply, Reply)
        return reply

    def ask_anew(self, action: Any, camera: str = "") -> Reply:
        """Ask what was asked before."""
        self.seen[:] = [m for m in self.seen if not isinstance(m, Reply)]
        return self.ask(action, camera)

    def start(self) -> World:
        self.thread.start()
        until(lambda: self.agent.link.connected)
        return self

    def release(self, name: str, number: int) -> Release:
        pack = make_pack(self.folder, name)
        self.archives[pack.address] = packs.archive(pack)
        return Release(number=number, pack=pack.address, size=len(self.archives[pack.address]), time=utc_now())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.agent.stop()
    if world.thread.is_alive():
        world.thread.join(5)


def decoded(data: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def test_frames__arrive_masked_numbered_and_complete(world: World) -> None:
    world.start()
    for _ in range(5):
        world.readers["a"].push(200)
        world.readers["b"].push(200)
    until(lambda: len(world.of(FrameMessage)) == 10 and len(world.spool) == 0)
    frames = sorted(world.of(FrameMessage), key=lambda f: f.sequence)
    assert [f.sequence for f in frames] == list(range(10))
    first = frames[0]
    assert (first.node, first.boot, first.width, first.height) == ("n1", "boot", 640, 480)
    assert first.detections == [Detection(box=(1.0, 2.0, 30.0, 40.0), label="car", score=0.5)]
    assert first.embedding == pytest.approx([0.6, 0.8])
    assert first.redactions
    image = decoded(first.image)
    assert image[20, 20].max() < 10
    assert image[300, 300].min() > 190


def test_worker__a_busy_camera_does_not_starve_another(world: World) -> None:
    for _ in range(100):
        world.readers["a"].push()
    world.readers["b"].push()
    world.start()
    until(lambda: world.agent.cameras["b"].meter.frames == 1)
    assert world.agent.cameras["a"].meter.frames < 50


def test_worker__a_frame_that_fails_costs_only_itself(world: World) -> None:
    world.start()
    world.readers["a"].push(13)
    world.readers["a"].push(100)
    until(lambda: len(world.of(FrameMessage)) == 1)
    meter = world.agent.cameras["a"].meter
    assert (meter.frames, meter.faults) == (1, 1)


def test_offline__watches_and_spools(world: World) -> None:
    world.broker.down = True
    world.thread.start()
    for _ in range(5):
        world.readers["a"].push()
    until(lambda: len(world.spool) == 5)
    world.broker.down = False
    until(lambda: len(world.spool) == 0)


def test_once__ends_when_everything_has_its_receipt(world: World) -> None:
    world.once = True
    for reader in world.readers.values():
        for _ in range(3):
            reader.push()
        reader.ended = True
    world.thread.start()
    world.thread.join(10)
    assert world.ending == "once"
    assert len(world.of(FrameMessage)) == 6
    assert world.of(Status)[-1].state == "stopped"


def test_once__waits_for_receipts(world: World) -> None:
    world.once, world.receipting = True, False
    for reader in world.readers.values():
        reader.push()
        reader.ended = True
    world.thread.start()
    time.sleep(1.0)
    assert world.thread.is_alive()


def test_stop__is_quick_and_says_so(world: World) -> None:
    world.start()
    began = time.monotonic()
    world.agent.stop()
    world.thread.join(5)
    assert time.monotonic() - began < 3.0
    assert world.of(Status)[-1].state == "stopped"
    assert all(r.closes == 1 for r in world.readers.values())


def test_reports__the_tags_of_its_cameras(world: World) -> None:
    world.start()
    until(lambda: world.of(Status))
    assert {c.camera: c.tags for c in world.of(Status)[0].cameras} == {"a": ["indoor"], "b": []}


def test_reports__where_its_cameras_stand(world: World) -> None:
    world.start()
    until(lambda: world.of(Status))
    places = {c.camera: (c.latitude, c.longitude) for c in world.of(Status)[0].cameras}
    assert places == {"a": (1.5, -2.0), "b": (None, None)}


def test_reports__health_and_counts(world: World) -> None:
    world.start()
    world.readers["a"].push()
    until(lambda: any(c.frames for h in world.of(Health) for c in h.cameras), 4)
    health = next(h for h in world.of(Health) if any(c.frames for c in h.cameras))
    assert [c.camera for c in health.cameras] == ["a", "b"]
    assert health.cameras[0].uncertainty == 0.5
    until(lambda: any(e.counts == {"car": 1} for e in world.of(Event)))


def test_reports__an_alert_comes_and_goes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "ALERT_S", 0.1)
    world.start()
    world.readers["a"].state, world.readers["a"].detail = "connecting", "rtsp://x does not answer"
    until(lambda: any(e.kind == "alert" and e.raised for e in world.of(Event)))
    world.readers["a"].state = "watching"
    until(lambda: any(e.kind == "alert" and not e.raised for e in world.of(Event)))
    assert {e.camera for e in world.of(Event) if e.kind == "alert"} == {"a"}


def test_reports__a_camera_that_hangs_is_connected_anew(world: World) -> None:
    world.start()
    old = world.readers["a"]
    old.silent, old.hangs, old.dropped = True, True, 7
    until(lambda: world.readers["a"] is not old and world.readers["a"].starts == 1)
    assert (old.closes, world.readers["a"].dropped) == (1, 7)
    assert world.readers["b"].starts == 1


def test_restart__threads_that_hang_do_not_pile_up(world: World) -> None:
    world.start()
    made = set()
    for _ in range(10):
        world.readers["a"].hangs = True
        made.add(id(world.readers["a"]))
        reply = world.ask_anew("restart", "a")
    assert not reply.ok and "restart the whole node" in reply.detail
    assert len(made) <= 4


def alerts(world: World, text: str) -> list[bool]:
    """Return raised or cleared for each alert about camera a that has `text`."""
    return [e.raised for e in world.of(Event) if e.kind == "alert" and e.camera == "a" and text in e.alert]


def test_reports__a_pack_that_cannot_find_what_must_be_hidden(world: World) -> None:
    redactor = world.agent.cameras["a"]._parts.redactor
    redactor.problem = "no frame is kept: person must be hidden"
    world.start()
    for name in ("a", "b"):
        world.readers[name].push()
    until(lambda: alerts(world, "person must be hidden") == [True] and len(world.of(FrameMessage)) == 1)
    assert world.of(FrameMessage)[0].camera == "b"
    assert world.agent.cameras["a"].meter.frames == 1
    until(lambda: any(c.detail == redactor.problem for h in world.of(Health) for c in h.cameras))
    redactor.problem = ""
    until(lambda: alerts(world, "person must be hidden") == [True, False])


def test_reports__a_model_that_fails_on_every_frame(world: World) -> None:
    world.start()
    for _ in range(12):
        world.readers["a"].push(13)
    until(lambda: alerts(world, "cannot be assessed: planted") == [True])
    world.readers["a"].push(100)
    until(lambda: alerts(world, "cannot be assessed: planted") == [True, False])


def test_reports__a_camera_that_ails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAISE_S", "CLEAR_S", "SAMPLE_S"):
        monkeypatch.setattr(f"edge.assess.health.{name}", 0.01)
    camera = world.agent.cameras["a"]
    camera.health = CameraCheck()
    world.start()

    def shows(value: int, expected: list[bool]) -> bool:
        world.readers["a"].push(value)
        return alerts(world, "dark: ") == expected

    until(lambda: shows(5, [True]))
    until(lambda: any("dark: " in text for h in world.of(Health) for c in h.cameras for text in c.alerts))
    until(lambda: shows(90, [True, False]))


def test_policy__of_a_newer_centre_is_told(world: World) -> None:
    world.start()
    world.send("policy", Policy(version=3, policy="nonsense"))
    until(lambda: alerts(world, "policy 3 cannot be followed") == [True])
    world.readers["a"].push()
    until(lambda: len(world.of(FrameMessage)) == 1)
    world.send("policy", Policy(version=4, policy="other"))
    until(lambda: alerts(world, "policy 3 cannot be followed") == [True, False])


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b'{"version": 9, "frames_per_hour": 1e12}', "<= 3600000"),
        (b'{"version": 9, "jpeg_quality": 1}', "jpeg_quality"),
        (b'{"version": 9, "frames_per_hour": {"day": 5, "night": 1}}', "frames_per_hour"),  # of a newer centre
        (b"nonsense", "JSON"),
    ],
)
def test_policy__that_is_not_understood_is_told_and_the_old_one_stays(world: World, payload: bytes, words: str) -> None:
    world.start()
    world.send("policy", Policy(version=2, policy="other"))
    until(lambda: world.agent.cameras["a"].policy.policy == "other")
    world.broker.publish(topics.build(PREFIX, "n1", "policy"), payload)
    until(lambda: alerts(world, "the policy from the centre is not understood") == [True])
    assert any(words in e.alert for e in world.of(Event)), [e.alert for e in world.of(Event)]
    until(lambda: any("not understood" in text for h in world.of(Health) for c in h.cameras for text in c.alerts))
    world.readers["a"].push()
    until(lambda: len(world.of(FrameMessage)) == 1)
    assert world.of(FrameMessage)[0].selection.policy == "other"
    world.send("policy", Policy(version=10, policy="third"))
    until(lambda: alerts(world, "the policy from the centre is not understood") == [True, False])


def test_policy__changes_without_a_restart(world: World) -> None:
    world.start()
    world.send("policy", Policy(version=2, policy="other"))
    until(lambda: world.agent.cameras["a"].policy.policy == "other")
    world.send("policy", Policy(version=1, policy="older"))
    world.send("policy", Policy(version=3, policy="nonsense"))
    world.readers["a"].push()
    until(lambda: len(world.of(FrameMessage)) == 1)
    assert world.of(FrameMessage)[0].selection.policy == "other"


def test_command__snapshot_is_small_and_redacted(world: World) -> None:
    world.start()
    assert not world.ask("snapshot", "a").ok
    world.readers["b"].push(200)
    until(lambda: world.agent.cameras["b"].meter.frames == 1)
    reply = world.ask("snapshot", "b")
    image = decoded(reply.image)
    assert (reply.camera, image.shape) == ("b", (240, 320, 3))
    assert image[10, 10].max() < 10
    assert image[200, 200].min() > 190


def test_command__pause_and_resume(world: World) -> None:
    world.start()
    assert world.ask("pause", "a").ok
    assert (world.readers["a"].state, world.readers["b"].state) == ("paused", "watching")
    assert world.ask("resume").ok
    assert world.readers["a"].state == "watching"


def test_command__restart_of_a_camera_and_of_the_node(world: World) -> None:
    world.start()
    old = world.readers["a"]
    assert world.ask("restart", "a").ok
    assert (old.closes, world.readers["a"].starts) == (1, 1)
    assert world.readers["a"] is not old
    assert world.ask("restart").ok
    world.thread.join(5)
    assert world.ending == "restart"


def test_command__an_unknown_camera(world: World) -> None:
    world.start()
    reply = world.ask("pause", "attic")
    assert not reply.ok
    assert "there are: a, b" in reply.detail


def feed(world: World, stop: threading.Event) -> threading.Thread:
    def push() -> None:
        while not stop.wait(0.01):
            world.readers["a"].push()

    thread = threading.Thread(target=push, daemon=True)
    thread.start()
    return thread


def test_update__the_model_changes_and_the_cameras_go_on(world: World) -> None:
    world.start()
    stop = threading.Event()
    thread = feed(world, stop)
    release = world.release("second", 4)
    world.send("release", release)
    until(lambda: any(s.release == 4 and s.pack == release.pack for s in world.of(Status)))
    until(lambda: {f.pack for f in world.of(FrameMessage)} == {world.models[0].pack.address, release.pack})
    stop.set()
    thread.join()
    pushed = world.readers["a"].count
    until(lambda: world.agent.cameras["a"].meter.frames == pushed)
    assert world.agent.cameras["a"].meter.faults == 0, "no frame was lost"
    assert world.models[0].closed
    assert not world.readers["a"].closes
    assert [u.step for u in world.of(Update)][-1] == "committed"


@pytest.mark.parametrize("name", ["bad", "unequal"])
def test_update__a_bad_pack_leaves_the_old_one_watching(world: World, name: str) -> None:
    world.start()
    stop = threading.Event()
    thread = feed(world, stop)
    world.send("release", world.release(name, 4))
    until(lambda: any(u.step == "rolled-back" and u.reason for u in world.of(Update)))
    count = world.agent.cameras["a"].meter.frames
    until(lambda: world.agent.cameras["a"].meter.frames > count)
    stop.set()
    thread.join()
    assert world.agent.running().address == world.models[0].pack.address
    assert not world.models[0].closed
    assert {m.pack for m in [*world.of(Status), *world.of(Health)]} == {world.models[0].pack.address}, "told too early"


@pytest.mark.parametrize(
    ("assessment", "reason", "value"),
    [
        (Assessment(), "x", 0.0),
        (Assessment(uncertainty=0.25, novelty=0.75), "x", 0.75),
        (Assessment(blur=9.0, redundancy=9.0), "x", 0.0),
        (Assessment(novelty=1e9), "x", 10.0),
        (Assessment(), AUDIT_REASON, AUDIT_VALUE),
    ],
)
def test_value__of_a_kept_frame(assessment: Assessment, reason: str, value: float) -> None:
    selection = Selection(keep=True, probability=0.5, reason=reason, policy="budget")
    assert value_of(assessment, selection) == value


def test_value__audit_frames_are_known_by_the_reason_of_the_default_policy() -> None:
    policy = Policy(version=1, frames_per_hour=3_600_000, audit_share=1.0, min_gap_s=0.0)
    selector = slots.member("edge.select", "POLICY", "budget").create(policy, Random(1))
    reasons = {s.reason for i in range(200) if (s := selector.decide(Assessment(), i * 0.1)).keep}
    assert reasons == {AUDIT_REASON}
