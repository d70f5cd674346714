"""Updates in a world that a test mutates: whatever happens, the node runs a whole pack, and the update ends."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.runtime import Detections, Inference, RuntimeFault
from edge.update import UpdateError, pointer
from edge.update import journal as journals
from edge.update.fetchers.link import LinkFetcher
from edge.update.journal import Journal
from edge.update.trial import Watched, trial
from edge.update.updater import Identity, Proof, Stop, Updater
from protocols import files
from protocols import pack as packs
from protocols.messages import Chunk, Fetch, Release, Shadow, Update, utc_now
from protocols.pack import Input, Manifest, Pack
from protocols.transfer import NOT_THERE
from protocols.trust import TrustError
from protocols.trust.verify import Approved, UnreachableError


def until(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def make_pack(folder: Path, name: str) -> Pack:
    manifest = Manifest(name=name, labels=["car"], input=Input(height=64, width=64))
    return packs.create(folder / name, manifest, {"model.onnx": name.encode() * 3000})


class Runner:
    """A model that does as its pack's name says."""

    labels: tuple[str, ...] = ("car",)
    backend_name = "fake"

    def __init__(self, pack: Pack) -> None:
        self.pack, self.closed = pack, False

    def infer(self, image: Any, threshold: float | None = None) -> Inference:
        name = self.pack.manifest.name
        if name == "crashes":
            raise RuntimeFault("planted crash")
        value = np.nan if name == "nan" else 0.5
        return Inference(Detections(np.full((1, 4), value, np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)))

    def close(self) -> None:
        self.closed = True


SEEN = Shadow(frames=3, agreement=0.5)


class World:
    """A node's data folder, a host, and a centre that answers fetches."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        (self.data / "packs").mkdir(parents=True)
        self.archives: dict[str, bytes] = {}
        self.signed: dict[str, Approved] = {}
        self.updates: list[Update] = []
        self.swapped: list[tuple[str, int]] = []
        self.runner: Any = Runner(make_pack(folder, "at the factory"))
        self.opened: dict[str, Runner] = {}
        self.restarts = 0
        self.silent = False
        self.fetches: list[Fetch] = []
        self.before_check: Callable[[], None] = lambda: None
        self.updater = self.make()

    def make(self) -> Updater:
        """The program starts."""
        self.fetcher = LinkFetcher(self.data, self.answer, chunk=1000, timeout=0.05)
        proof = Proof(self.check, self.shadow, trial=self.trial)
        self.updater = Updater(
            self.data, Identity("n", "b"), self, self.fetcher, self.updates.append, proof, self.approve
        )
        return self.updater

    def restart_with_current(self) -> Updater:
        """The program starts, and opens what `current` names, as a node does."""
        pack = pointer.open_current(self.data)
        if pack is not None:
            self.runner = Runner(pack)
        return self.make()

    def publish(self, name: str, number: int) -> Release:
        pack = make_pack(self.folder, name)
        archive = self.archives[pack.address] = packs.archive(pack)
        self.signed[pack.address] = Approved(length=len(archive), sha256=hashlib.sha256(archive).hexdigest())
        return Release(number=number, pack=pack.address, size=len(self.archives[pack.address]), time=utc_now())

    def answer(self, fetch: Fetch) -> None:
        self.fetches.append(fetch)
        if self.silent:
            return
        archive = self.archives.get(fetch.name.removeprefix("packs/"))
        base: dict[str, Any] = {"request": fetch.request, "name": fetch.name, "offset": fetch.offset}
        if archive is None:
            there = fetch.name.startswith("packs/")
            self.updater.chunk(Chunk(**base, total=0, error="no such pack" if there else NOT_THERE))
        else:
            part = archive[fetch.offset : fetch.offset + fetch.length]
            self.updater.chunk(Chunk(**base, total=len(archive), data=part))

    def approve(self, release: Release) -> Approved:
        if release.pack not in self.signed:
            raise TrustError("not signed: planted")
        return self.signed[release.pack]

    def check(self, pack: Pack) -> str:
        self.before_check()
        if pack.manifest.name == "unequal":
            raise UpdateError("checking: scores is off by 0.5")
        return "agrees"

    def shadow(self, host: Any, pack: Pack, stop: Stop) -> Shadow:
        if pack.manifest.name == "worse":
            raise UpdateError("shadowing: planted")
        return SEEN

    def trial(self, watched: Watched, stop: Stop) -> None:
        """The cameras give frames while the trial lasts."""
        over = threading.Event()

        def feed() -> None:
            while not over.wait(0.001) and not watched.reason:
                with contextlib.suppress(RuntimeFault):
                    watched.infer(np.zeros((8, 8, 3), np.uint8))

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        try:
            trial(watched, stop)
        finally:
            over.set()

    def open(self, pack: Pack) -> Runner:
        if pack.manifest.name == "unopenable":
            raise RuntimeFault("planted: does not open")
        runner = self.opened[pack.address] = Runner(pack)
        return runner

    def live_frame(self, timeout: float, not_of: Any = ()) -> Any:
        return "a", np.zeros((8, 8, 3), np.uint8)

    def running(self) -> Pack:
        return self.runner.pack

    def swap(self, runner: Any, release: int) -> Any:
        old, self.runner = self.runner, runner
        self.swapped.append((runner.pack.address, release))
        return old

    def restart(self) -> None:
        self.restarts += 1

    @property
    def steps(self) -> list[str]:
        """The reported steps, progress reports left out."""
        steps: list[str] = []
        for update in self.updates:
            if not steps or steps[-1] != update.step:
                steps.append(update.step)
        return steps

    def ended(self) -> bool:
        return bool(self.steps) and self.steps[-1] in ("committed", "rolled-back")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.updater.stop()


def install(world: World, release: Release) -> None:
    count = len(world.updates)
    world.updater.offer(release)
    until(lambda: len(world.updates) > count and world.ended())


def test_update__every_step_in_order(world: World) -> None:
    release = world.publish("good", 1)
    world.updater.start()
    install(world, release)
    assert world.steps == ["announced", "fetching", "verifying", "applying", "checking", "shadowing", "committed"]
    assert pointer.read(world.data, "current") == release.pack
    assert world.swapped == [(release.pack, 1)]
    assert world.updater.committed == 1
    assert not list((world.data / "fetch").iterdir())
    shares = [u.progress for u in world.updates if u.step == "fetching"]
    assert shares == sorted(shares)
    assert len(shares) > 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unequal", "checking: scores is off by 0.5"),
        ("unopenable", "does not open"),
        ("worse", "shadowing: planted"),
        ("crashes", "shadowing: RuntimeFault: planted crash"),
        ("nan", "shadowing: RuntimeFault: the model gave a number that is not finite"),
    ],
)
def test_update__a_bad_pack_is_rolled_back_with_its_reason(world: World, name: str, reason: str) -> None:
    world.updater.start()
    good = world.publish("good", 1)
    install(world, good)
    install(world, world.publish(name, 2))
    assert world.updates[-1].step == "rolled-back"
    assert reason in world.updates[-1].reason
    assert pointer.read(world.data, "current") == good.pack
    assert world.runner.pack.address == good.pack and not world.opened[good.pack].closed
    assert world.updates[-1].failed == ("checking" if name == "unequal" else "shadowing")
    install(world, third := world.publish("third", 3))
    assert pointer.read(world.data, "current") == third.pack


def damaged(archive: bytes) -> bytes:
    return archive[:2000] + b"x" + archive[2001:]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w, r: w.archives.pop(r.pack), "fetching: no such pack"),
        (lambda w, r: w.archives.update({r.pack: damaged(w.archives[r.pack])}), "verifying: "),
        (lambda w, r: w.archives.update({r.pack: w.archives[r.pack] + b"more"}), "were announced"),
        (lambda w, r: w.archives.update({r.pack: packs.archive(make_pack(w.folder, "other"))}), "fetching: "),
    ],
)
def test_update__a_bad_archive(world: World, spoil: Callable[[World, Release], object], reason: str) -> None:
    release = world.publish("good", 1)
    spoil(world, release)
    world.updater.start()
    install(world, release)
    assert world.updates[-1].step == "rolled-back"
    assert reason in world.updates[-1].reason
    assert pointer.read(world.data, "current") is None
    assert not list((world.data / "packs").iterdir())


def test_update__another_pack_of_the_same_size_is_not_accepted(world: World) -> None:
    release, other = world.publish("good", 1), world.publish("evil", 2)
    assert release.size == other.size
    world.archives[release.pack] = world.archives[other.pack]
    world.updater.start()
    install(world, release)
    assert "tampered: the archive is not the one that was signed" in world.updates[-1].reason


def test_update__what_was_signed_under_the_name_of_another_pack_is_not_accepted(world: World) -> None:
    release, other = world.publish("good", 1), world.publish("evil", 2)
    world.archives[release.pack], world.signed[release.pack] = world.archives[other.pack], world.signed[other.pack]
    world.updater.start()
    install(world, release)
    assert "the release says" in world.updates[-1].reason


def test_update__what_nobody_signed_is_refused_before_it_is_fetched(world: World) -> None:
    release = world.publish("good", 1)
    del world.signed[release.pack]
    world.updater.start()
    install(world, release)
    assert world.updates[-1].reason == "refused: not signed: planted"
    assert not world.fetches


def test_update__what_is_there_already_must_be_signed_too(world: World) -> None:
    first, second = world.publish("good", 1), world.publish("newer", 2)
    world.updater.start()
    install(world, first)
    install(world, second)
    del world.signed[first.pack]
    install(world, msgspec.structs.replace(first, number=3))
    assert world.updates[-1].reason == "refused: not signed: planted"
    assert pointer.read(world.data, "current") == second.pack


def test_update__a_centre_that_cannot_be_reached_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.update.updater.UNREACHABLE_S", 0.01)
    release, asked = world.publish("good", 1), []

    def approve(release: Release) -> Approved:
        asked.append(release)
        if len(asked) < 3:
            raise UnreachableError("planted")
        return world.approve(release)

    world.updater._approve = approve
    world.updater.start()
    install(world, release)
    assert world.steps[-1] == "committed" and len(asked) == 3


def test_offer__lower_and_equal_numbers_are_ignored(world: World) -> None:
    world.updater.start()
    install(world, world.publish("good", 5))
    count = len(world.updates)
    world.updater.offer(world.publish("older", 4))
    time.sleep(0.1)
    assert len(world.updates) == count
    assert len(world.swapped) == 1


def test_offer__a_finished_release_is_reported_again_not_done_again(world: World) -> None:
    world.updater.start()
    release = world.publish("nan", 5)
    install(world, release)
    install(world, release)
    assert [u.step for u in world.updates[-2:]] == ["rolled-back", "rolled-back"]
    assert world.updates[-1].reason == world.updates[-2].reason
    assert sum(u.step == "announced" for u in world.updates) == 1


def test_offer__a_newer_release_ends_a_fetch(world: World) -> None:
    world.silent = True
    world.updater.start()
    world.updater.offer(world.publish("good", 1))
    until(lambda: world.steps == ["announced", "fetching"])
    newer = world.publish("newer", 2)
    world.updater.offer(newer)
    until(lambda: any("superseded" in u.reason for u in world.updates))
    world.silent = False
    until(lambda: pointer.read(world.data, "current") == newer.pack and world.steps[-1] == "committed")


def test_fetch__goes_on_after_a_silence_and_a_restart(world: World) -> None:
    release = world.publish("good", 1)
    world.updater.start()
    answer = world.answer

    def half(fetch: Fetch) -> None:
        if fetch.offset < 4000:
            answer(fetch)

    world.fetcher._send = half
    world.updater.offer(release)
    part = world.data / "fetch" / f"{release.pack}.part"
    until(lambda: part.exists() and part.stat().st_size == 4000)
    world.updater.stop()
    world.fetches.clear()
    world.make().start()
    until(world.ended)
    assert world.steps[-1] == "committed"
    assert min(f.offset for f in world.fetches) == 4000


def test_fetch__a_damaged_part_of_an_earlier_life_is_fetched_anew(world: World) -> None:
    release = world.publish("good", 1)
    (world.data / "fetch").mkdir()
    (world.data / "fetch" / f"{release.pack}.part").write_bytes(b"garbage" * 100)
    world.updater.start()
    install(world, release)
    assert world.steps[-1] == "committed"


class PowerCut(BaseException):
    """The program ends here."""


def cut_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End the program at the `number`-th durable write from now."""
    real, count = files.write_atomic, 0

    def write(path: Path, data: bytes, mode: int = 0o644) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise PowerCut
        real(path, data, mode)

    monkeypatch.setattr(files, "write_atomic", write)


@pytest.mark.parametrize("number", range(1, 14))
def test_restart__killed_at_any_durable_write_it_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    world = World(tmp_path)
    old, release = world.publish("old", 1), world.publish("good", 2)
    world.updater.start()
    install(world, old)
    world.updater.stop()
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with monkeypatch.context() as patch:
        cut_at(patch, number)
        world.make().start()
        world.updater.offer(release)
        until(lambda: not world.updater._thread.is_alive() or world.updater.committed == 2)
        world.updater.stop()
    current = pointer.open_current(world.data)
    assert current is not None
    assert current.address in (old.pack, release.pack)
    world.updates.clear()
    world.make().start()
    world.updater.offer(release)
    until(lambda: world.updater.committed == 2)
    assert pointer.read(world.data, "current") == release.pack
    assert pointer.read(world.data, "previous") == old.pack
    world.updater.stop()


def test_restart__what_kills_the_node_each_time_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die() -> None:
        raise PowerCut

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    release = world.publish("deadly", 1)
    world.before_check = die
    world.updater.start()
    world.updater.offer(release)
    starts = 1
    while not world.ended():
        until(lambda: not world.updater._thread.is_alive() or world.ended())
        if not world.ended():
            starts += 1
            world.make().start()
    assert world.updates[-1].step == "rolled-back"
    assert "given up after 5 starts" in world.updates[-1].reason
    assert starts <= journals.MAX_STARTS + 1


def test_disk__full_while_applying_is_a_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.write_atomic

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.name == "model.onnx":
            raise OSError(28, "No space left on device")
        real(path, data, mode)

    release = world.publish("good", 1)
    monkeypatch.setattr(files, "write_atomic", full)
    world.updater.start()
    install(world, release)
    assert world.updates[-1].reason == "applying: No space left on device"


def test_packs__the_last_two_are_kept(world: World) -> None:
    world.updater.start()
    releases = [world.publish(f"p{i}", i) for i in range(1, 5)]
    for release in releases:
        install(world, release)
    until(lambda: len(list((world.data / "packs").iterdir())) == 2)
    assert {p.name for p in (world.data / "packs").iterdir()} == {releases[2].pack, releases[3].pack}


def test_pointer__falls_back_to_the_previous_pack(world: World) -> None:
    world.updater.start()
    first, second = world.publish("first", 1), world.publish("second", 2)
    install(world, first)
    install(world, second)
    (world.data / "packs" / second.pack / "model.onnx").write_bytes(b"damaged")
    found = pointer.open_current(world.data)
    assert found is not None
    assert found.address == first.pack


@pytest.mark.parametrize("text", ["", "garbage", "../../etc", "ab" * 32 + "\nx"])
def test_pointer__a_damaged_one_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "current").write_text(text)
    assert pointer.read(tmp_path, "current") is None
    assert pointer.open_current(tmp_path) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xff", b'{"committed": -1}'])
def test_journal__a_damaged_one_is_put_aside(tmp_path: Path, data: bytes) -> None:
    (tmp_path / journals.NAME).write_bytes(data)
    assert Journal(tmp_path).state == journals.State()
    assert (tmp_path / "update.damaged").read_bytes() == data
