"""Packs that crash, hang, give nonsense, are slow or worse: the old one goes on, and the reason is told (P8)."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.agent import Agent
from edge.update import check as checks
from edge.update import child, pointer, trial
from edge.update import shadow as shadows
from edge.update.fetchers.link import LinkFetcher
from edge.update.shadow import Rules
from edge.update.updater import Identity, Proof, Updater
from protocols import pack as packs
from protocols.messages import FrameMessage, Update
from protocols.pack import PARITY, Input, Manifest, Pack
from tests.edge import test_agent as agents
from tests.faults.bad_models import BadModel

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
WITHIN_S = 10.0
"""In which the old pack serves again."""
RULES = Rules(frames=12, seconds=20, share=1.0, hang=1.5)
MODULE = "tests.faults.bad_models"


def make_pack(folder: Path, name: str) -> Pack:
    manifest = Manifest(name=name, labels=["car"], input=Input(height=64, width=64))
    return packs.create(folder / name, manifest, {"model.onnx": name.encode() * 3000, PARITY: b"none"})


class Child(child.Child):
    """The very same, but for the models that it runs."""

    def __init__(self, step: str, module: str, *arguments: str) -> None:
        super().__init__(step, MODULE, module.rpartition(".")[2], *arguments)


@dataclass
class Watch:
    """Which pack each frame was seen with, and when."""

    seen: list[tuple[float, str]] = field(default_factory=list)

    def longest_gap(self, until: float) -> float:
        times = [when for when, _ in self.seen] + [until]
        return max(b - a for a, b in itertools.pairwise(times))


class Node(agents.World):
    """A node with cameras that never rest, and models that are broken by name."""

    def __init__(self, folder: Path) -> None:
        self.watch = Watch()
        super().__init__(folder)
        self.over = threading.Event()
        self.feeder = threading.Thread(target=self._feed, daemon=True)

    def _feed(self) -> None:
        while not self.over.wait(0.02):
            for reader in self.readers.values():
                if len(reader.queue) < 5:
                    reader.push()

    def _open(self, pack: Pack) -> Any:
        model, watch = BadModel(pack, in_node=True), self.watch
        infer = model.infer

        def watched(image: Any, threshold: float | None = None) -> Any:
            found = infer(image, threshold)
            watch.seen.append((time.monotonic(), pack.manifest.name))
            return found

        model.infer = watched  # type: ignore[method-assign]
        self.models.append(model)  # type: ignore[arg-type]
        return model

    def _updater(self, agent: Agent) -> Updater:
        data, how = self.config.data, ("cpu", "fp32", 1)
        fetcher = LinkFetcher(data, lambda fetch: agent.link.send("fetch", fetch), timeout=0.2)
        proof = Proof(
            lambda pack: checks.check(pack, *how, timeout=4.0),
            lambda host, pack, stop: shadows.shadow(host, pack, how, RULES, stop),
        )
        return Updater(data, Identity("n1", "b"), agent, fetcher, agent.report_update, proof, self._approve)

    def ended(self, timeout: float = 60.0) -> Update:
        """Return the last word of the update."""
        agents.until(lambda: any(u.step in ("committed", "rolled-back") for u in self.of(Update)), timeout)
        found: Update = next(u for u in self.of(Update) if u.step in ("committed", "rolled-back"))
        return found


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(agents, "make_pack", make_pack)
    for module in (checks, shadows):
        monkeypatch.setattr(module, "Child", Child)
    made = Node(tmp_path)
    made.feeder.start()
    made.start()
    agents.until(lambda: len(made.watch.seen) > 3)
    yield made
    made.over.set()
    made.agent.stop()
    made.thread.join(5)


def serves(node: Node, name: str = "first") -> bool:
    """Whether frames are seen with the pack `name` from now on."""
    count = len(node.watch.seen)
    agents.until(lambda: len(node.watch.seen) > count + 3, WITHIN_S)
    return all(seen == name for _, seen in node.watch.seen[count + 2 :])


BAD = [
    ("crash", "checking: the pack ended its process"),
    ("hang", "checking: the pack did not open and run within 4 s"),
    ("nan", "checking: boxes is not what it was"),
    ("shape", "checking: boxes is not what it was"),
    ("slow", "times as slow as the pack before"),
    ("worse", "boxes of which the pack before is certain"),
    ("later-raise", "shadowing: RuntimeFault: planted"),
    ("later-nan", "not finite"),
]


@pytest.mark.parametrize(("name", "reason"), BAD)
def test_update__a_bad_pack_and_the_old_one_goes_on(node: Node, name: str, reason: str) -> None:
    node.send("release", node.release(name, 4))
    said = node.ended()
    now = time.monotonic()
    assert (said.step, said.failed) == ("rolled-back", said.reason.split(":")[0])
    assert reason in said.reason
    assert serves(node)
    assert node.watch.longest_gap(now) < WITHIN_S
    assert pointer.read(node.config.data, pointer.CURRENT) is None, "the pack it came with is still the one"
    assert any(isinstance(m, FrameMessage) for m in node.seen)


@pytest.mark.parametrize(("name", "reason"), [("crash", "ended its process (status -6)"), ("hang", "within 2 s")])
def test_shadow__what_the_check_does_not_see(
    node: Node, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    node.agent.updater._proof = Proof(lambda pack: "", node.agent.updater._proof.shadow)
    node.send("release", node.release(name, 4))
    assert reason in node.ended().reason
    assert serves(node)


def test_trial__a_model_that_hangs_in_the_node_ends_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a new process helps; it starts with the old pack, and tells."""
    monkeypatch.setattr(trial, "HANG_S", 1.0)
    node.send("release", node.release("later-hang", 4))
    assert "did not return within 1 s" in node.ended().reason
    agents.until(lambda: node.ending == "restart", WITHIN_S)
    assert pointer.read(node.config.data, pointer.CURRENT) is None


def test_update__a_good_pack_tells_what_was_seen(node: Node) -> None:
    release = node.release("good", 4)
    node.send("release", release)
    said = node.ended()
    assert said.step == "committed", said.reason
    assert said.shadow is not None and said.shadow.frames == RULES.frames
    assert said.shadow.agreement == 1.0 and said.shadow.score_shift == 0.0
    assert {camera.camera for camera in said.shadow.cameras} == {"a", "b"}
    assert (said.starts, said.failed) == (1, None)
    assert serves(node, "good")
    assert node.watch.longest_gap(time.monotonic()) < 5.0, "the cameras stopped"


def _believing(_: Any, pack: Pack, stop: Callable[[], bool]) -> None:
    return None


@pytest.mark.parametrize("name", ["slow", "later-nan"])
def test_update__a_node_that_proves_nothing_is_found(node: Node, name: str) -> None:
    node.agent.updater._proof = Proof(lambda pack: "", _believing, trial=lambda watched, stop: None)
    node.send("release", node.release(name, 4))
    assert node.ended().step == "committed"
    assert not serves(node)
