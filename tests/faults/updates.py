"""A centre that signs and a node that updates, both real but for network, cameras and model: what fault tests break.

    Centre   packs, deltas and signed metadata in a folder; answers `fetch` as the real one does
    Life     one start of a node's update on a data folder, up to the end of an update, with bugs planted on request

A pack's model is its name: ``bad`` fails on the first live frame, which only the node itself can notice here.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from securesystemslib.signer import CryptoSigner

from central.releases import transfer
from central.releases.registry import archive_path, delta_path
from edge.runtime import Detections, Inference, RuntimeFault
from edge.update import UpdateError, pointer
from edge.update.fetchers.link import LinkFetcher
from edge.update.journal import Journal
from edge.update.trial import Watched, trial
from edge.update.updater import Identity, Proof, Stop, Updater
from protocols import delta, files
from protocols import pack as packs
from protocols.messages import Fetch, Release, Shadow, Update
from protocols.pack import Input, Manifest, Pack
from protocols.trust import TIME
from protocols.trust.sign import Repository, make_root
from protocols.trust.verify import Verifier

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
NOISE = np.random.default_rng(7).bytes(6000)
"""What all packs share, so that deltas pay."""
PATIENCE_S = 60.0
BUGS: dict[str, Callable[[], None]] = {}


def make_pack(folder: Path, name: str) -> Pack:
    """Write a pack whose model is its name."""
    manifest = Manifest(name=name, labels=["car"], input=Input(height=64, width=64))
    return packs.create(folder, manifest, {"model.onnx": NOISE + name.encode(), "extra.json": name.encode() * 9})


class Centre:
    """What the centre has in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._signer, online = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
        self._online = online.public_key
        self._first = first = make_root([self._signer], 1, self._online, NOW)
        self.root, self.now = first.to_bytes(), NOW
        self.repository = Repository.create(folder / "trust", first, online, NOW)
        (folder / "packs").mkdir()

    def publish(self, name: str, number: int, parent: Release | None = None) -> Release:
        """Sign the pack `name` as release `number`."""
        made = make_pack(self.folder / "made" / name, name)
        data = packs.archive(made)
        archive_path(self.folder / "packs", made.address).write_bytes(data)
        packs.unpack(archive_path(self.folder / "packs", made.address), self.folder / "packs")
        if parent is not None:
            old = packs.open_folder(self.folder / "packs" / parent.pack)
            path = delta_path(self.folder / "packs", delta.file_name(old.address, made.address))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(delta.make(old, made))
        digest = hashlib.sha256(data).hexdigest()
        self.repository.add(made.address, len(data), digest, number, name, self.now)
        return Release(number=number, pack=made.address, size=len(data), time=self.now)

    def rotate(self) -> None:
        """Sign a second root, with the same keys."""
        root = make_root([self._signer], 1, self._online, self.now, self._first, [self._signer])
        (self.folder / "trust" / "2.root.json").write_bytes(root.to_bytes())

    def signed(self, name: str) -> bytes | None:
        """Return a small file, as `central.releases.signing` does."""
        kind, _, rest = name.partition("/")
        if kind == TIME:
            return self.repository.tell_time(rest, self.now)
        try:
            return (self.folder / "trust" / rest).read_bytes()
        except OSError:
            return None


class Model:
    """A model that does as its pack's name says."""

    labels: tuple[str, ...] = ("car",)
    backend_name = "none"

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def infer(self, image: Any, threshold: float | None = None) -> Inference:
        """See one car, or fail."""
        if self.pack.manifest.name == "bad":
            raise RuntimeFault("planted")
        return Inference(Detections(np.ones((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)))

    def close(self) -> None:
        """Do nothing."""


class Life:
    """One start of the node in `data`."""

    def __init__(self, data: Path, centre: Centre) -> None:
        self.data, self.centre = data, centre
        pack = pointer.open_current(data) or packs.open_folder(data / "packs" / factory(data))
        self.runner: Any = Model(pack)
        self.updates: list[Update] = []
        self.tried: list[str] = []
        self.fetcher = LinkFetcher(data, self._answer, chunk=2000)
        verifier = Verifier(data, centre.root, self.fetcher, lambda: centre.now)
        proof = Proof(lambda pack: "ok", lambda host, pack, stop: Shadow(frames=1), trial=self._trial)
        self.updater = Updater(
            data, Identity("n", "b"), self, self.fetcher, self.updates.append, proof,
            lambda release: verifier.approve(release.pack, release.number),
        )  # fmt: skip

    def _answer(self, fetch: Fetch) -> None:
        self.updater.chunk(transfer.answer(self.centre.folder / "packs", fetch, self.centre.signed))

    def _trial(self, watched: Watched, stop: Stop) -> None:
        """Give the model its frames, and then ask how that went."""
        for _ in range(20):
            with contextlib.suppress(RuntimeFault):
                watched.infer(np.zeros((4, 4, 3), np.uint8))
        trial(watched, stop)
        self.tried.append(watched.pack.address)

    def open(self, pack: Pack) -> Model:
        """Open `pack`."""
        return Model(pack)

    def live_frame(self, timeout: float, not_of: Collection[str] = ()) -> Any:
        """Return a frame."""
        return "a", np.zeros((4, 4, 3), np.uint8)

    def running(self) -> Pack:
        """Return the pack that runs."""
        found: Pack = self.runner.pack
        return found

    def swap(self, runner: Any, release: int) -> Any:
        """Use `runner`."""
        old, self.runner = self.runner, runner
        return old

    def restart(self) -> None:
        """Do nothing: the model does not hang here."""

    def install(self, release: Release) -> None:
        """Live until the update to `release` has ended."""
        self.updater.start()
        self.updater.offer(release)
        end = time.monotonic() + PATIENCE_S
        while self.updater.journal.state.floor < release.number or self.updater.journal.state.active is not None:
            if time.monotonic() > end:
                raise TimeoutError("the update does not end")
            time.sleep(0.002)
        self.updater.stop()


def factory(data: Path) -> str:
    """Return the address of the pack that the node came with."""
    return (data / "factory").read_text()


def prepare(folder: Path, name: str = "new") -> tuple[Centre, Path, Release, Release]:
    """Return a centre, the data of a node that runs release 1, that release, and release 2, of pack `name`."""
    centre, data = Centre(folder / "centre"), folder / "clean"
    (data / "packs").mkdir(parents=True)
    came = make_pack(folder / "came", "factory")
    shutil.copytree(came.folder, data / "packs" / came.address)
    (data / "factory").write_text(came.address)
    first = centre.publish("old", 1)
    Life(data, centre).install(first)
    return centre, data, first, centre.publish(name, 2, first)


def look(data: Path, centre: Centre, releases: Collection[Release]) -> list[str]:
    """Return what is wrong with the node in `data`, which just ended somewhere within an update."""
    wrong = []
    current = pointer.open_current(data)
    if current is None or current.address not in {release.pack for release in releases}:
        wrong.append("it would start with nothing whole")
    state = Journal(data).state
    if state.finished is not None and state.finished.step == "committed":
        there = pointer.read(data, pointer.CURRENT)
        proven = state.active.release.pack if state.active is not None and state.active.proven else None
        if there not in (state.finished.pack, proven):
            wrong.append(f"success was noted for {state.finished.pack[:8]}, current is {str(there)[:8]}")
    return wrong


# --- bugs ---


def _old_pack_goes_first() -> None:
    real = packs.unpack

    def unpack(path: Path, folder: Path) -> Pack:
        for old in folder.iterdir():
            shutil.rmtree(old)
        return real(path, folder)

    packs.unpack = unpack


def _nothing_is_synced() -> None:
    def write(path: Path, data: bytes, mode: int = 0o644) -> None:
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        part.replace(path)

    files.write_atomic = write


def _starts_are_not_counted() -> None:
    Journal.restarted = lambda self: None  # type: ignore[method-assign]
    Journal.on_trial = lambda self: None  # type: ignore[method-assign]


def _pointer_before_the_trial() -> None:
    real = Updater._commit

    def commit(self: Updater, release: Release, pack: Pack) -> None:
        pointer.swap(self._data, pack.address, self._host.running().address)
        try:
            real(self, release, pack)
        except UpdateError:
            pointer.back(self._data)
            raise

    def recover(self: Updater) -> None:
        active = self.journal.state.active
        if active is None:
            return
        if pointer.read(self._data, pointer.CURRENT) == active.release.pack:
            self._finish(active.release, "committed")
        else:
            self._install(active.release)

    Updater._commit = commit  # type: ignore[method-assign]
    Updater._recover = recover  # type: ignore[method-assign]


def _no_floor() -> None:
    def keep(self: Verifier, floor: Any) -> None:
        self.floor.write_bytes(msgspec.json.encode(floor))

    Verifier._keep = keep  # type: ignore[method-assign]


BUGS |= {
    "old-pack-first": _old_pack_goes_first, "no-sync": _nothing_is_synced, "no-count": _starts_are_not_counted,
    "pointer-first": _pointer_before_the_trial, "loose-floor": _no_floor,
}  # fmt: skip
