"""Power cuts behind every operation of what must survive them: spool, pointer and journal of updates, images.

Each promise is checked on every disk that a cut may leave (`tests.faults.powercut`), by starting the real code on it.
The same with an fsync left out must find a broken promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from central.ingest import frames
from central.link import Received
from central.store import database, segments
from central.store.blobs import connect as open_blobs
from central.store.migrations import migrate
from edge.spool import Cipher, Spool
from edge.update import pointer
from edge.update.journal import Journal
from protocols import codec, files
from protocols import pack as packs
from protocols.messages import Release, utc_now
from tests.central.ingest.conftest import frame_message
from tests.edge.test_spool import frame
from tests.faults.powercut import Finding, Recorder, State, enumerate_cuts

pytestmark = pytest.mark.faults
SEED = os.environ.get("FAULTS_SEED")
Run = Callable[[Path, Recorder], None]
Check = Callable[[Path, State], None]
Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of states are built in it."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=shm if os.access(shm, os.W_OK) else None) as folder:
        yield Path(folder)


def cut(
    place: Path, run: Run, check: Check, at_most: int = 3, trusted: Callable[[PurePosixPath], bool] = lambda path: False
) -> Finding:
    """Run, and check every state."""
    root = place / "disk"
    root.mkdir()
    with Recorder(root, trusted) as recorder:
        run(root, recorder)

    def checked(folder: Path, state: State) -> None:
        try:
            check(folder, state)
        finally:
            shutil.rmtree(folder)

    seed = int(SEED) if SEED else None
    return enumerate_cuts(recorder, place / "states", checked, seed=seed, at_most=at_most)


# --- planted bugs ---


def no_folder_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(files, "sync_folder", lambda folder: None)
    patch.setattr(segments, "sync_folder", lambda folder: None)


def no_file_sync(patch: pytest.MonkeyPatch) -> None:
    """The file is renamed without having been written to the disk."""

    def careless(path: Path, data: bytes, mode: int = 0o644) -> None:
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        part.replace(path)
        files.sync_folder(path.parent)

    patch.setattr(files, "write_atomic", careless)


def in_place(patch: pytest.MonkeyPatch) -> None:
    """The file is written where it stands."""

    def careless(path: Path, data: bytes, mode: int = 0o644) -> None:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        files.sync_folder(path.parent)

    patch.setattr(files, "write_atomic", careless)


# --- files.write_atomic ---


def replace_twice(root: Path, recorder: Recorder) -> None:
    for text in ("first" * 100, "second" * 100):
        recorder.mark("began", text)
        files.write_atomic(root / "file", text.encode())
        recorder.mark("wrote", text)


def old_or_new(folder: Path, state: State) -> None:
    wrote, began = state.promised("wrote"), state.promised("began")
    path = folder / "file"
    if wrote:
        assert path.is_file(), "gone"
    if path.is_file():
        assert path.read_text(errors="replace") in {*wrote[-1:], *began[-1:]}, "neither the old nor the new content"


def test_write_atomic__leaves_the_old_or_the_new(place: Path) -> None:
    found = cut(place, replace_twice, old_or_new)
    assert found.problems == []
    assert found.states > 10


@pytest.mark.parametrize("plant", [no_folder_sync, no_file_sync, in_place])
def test_write_atomic__a_missing_fsync_is_found(place: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    assert cut(place, replace_twice, old_or_new, at_most=1).problems


# --- the spool ---

MESSAGES = [frame(300) for _ in range(8)]
KEY = Cipher(bytes(range(32)))


def live_of_a_spool(root: Path, recorder: Recorder) -> None:
    """Adding, eviction, receipts, parking, and a second start."""
    for first in (0, 4):
        spool = Spool(root / "data" / "spool", 10**6, 3, reserve=16, cipher=KEY)
        for i, message in enumerate(MESSAGES[first : first + 4]):
            recorder.mark("adding", message.id)
            assert spool.add(message, 1.0 + i)
            recorder.mark("added", message.id)
        receipted = MESSAGES[first + 1].id
        recorder.mark("receipted", receipted)
        spool.remove([receipted])
        spool.park(MESSAGES[first + 2].id, "planted")
        recorder.mark("parked", MESSAGES[first + 2].id)
        spool.close()


def all_accounted_for(folder: Path, state: State) -> None:
    spool = Spool(folder / "data" / "spool", 10**6, 100, reserve=16, cipher=KEY)
    bodies = [spool.read(id_) for id_ in list(spool._shelf._by_id)]
    assert all(bodies), "a frame cannot be read"
    assert spool.counters.damaged == 0, "a record is damaged"
    assert not list(folder.rglob("*.part")), "a half of a file is left"
    totals = spool.totals
    receipted = set(state.promised("receipted"))
    added = set(state.promised("added"))
    there = set(spool._shelf._by_id)
    missing = len(added - receipted - there)
    given_up = totals.evicted + totals.parked
    assert missing <= given_up, f"{missing} frames are missing, {given_up} counted"
    adding = len(state.promised("adding"))
    evicting = max(0, min(adding, 4) - 3) + max(0, adding - 6)  # one frame of the first life waits in the second
    assert totals.evicted <= evicting, "a frame was counted twice"
    assert totals.parked <= len(state.promised("receipted")), "a frame was parked twice"
    assert set(state.promised("parked")) & there == set(), "what was parked waits again"


def test_spool__every_frame_is_there_or_counted(place: Path) -> None:
    found = cut(place, live_of_a_spool, all_accounted_for)
    assert found.problems == []
    assert found.states > 300


def forgetful_index(patch: pytest.MonkeyPatch) -> None:
    """What was given up is deleted, and counted later."""

    def careless(self: Spool, victims: Any) -> None:
        for victim in victims:
            self._shelf.forget(victim.id)
            (self.folder / victim.name).unlink()
            self._index.count("evicted")

    patch.setattr(Spool, "_evict", careless)


def forgetful_fold(patch: pytest.MonkeyPatch) -> None:
    """The index does not say which files it has counted."""
    from edge.spool.index import Index

    sound = Index.save

    def careless(self: Index, *, force: bool = False) -> bool:
        self.folded, kept = (), self.folded
        try:
            return sound(self, force=force)
        finally:
            self.folded = kept

    patch.setattr(Index, "save", careless)


@pytest.mark.parametrize("plant", [no_folder_sync, no_file_sync, forgetful_index, forgetful_fold])
def test_spool__a_planted_bug_is_found(place: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    with monkeypatch.context() as patch:
        plant(patch)
        root = place / "disk"
        root.mkdir()
        with Recorder(root) as recorder:
            live_of_a_spool(root, recorder)
    assert enumerate_cuts(recorder, place / "states", all_accounted_for, at_most=1).problems


# --- updates ---

RELEASES = [Release(number=n, pack=f"{n}" * 64, size=1, time=utc_now()) for n in (1, 2)]


def two_updates(root: Path, recorder: Recorder) -> None:
    """Journal and pointer as the updater writes them, around the swap."""
    for release in RELEASES:
        (root / pointer.PACKS / release.pack).mkdir(parents=True)
    for folder in (root / pointer.PACKS, root):
        files.sync_folder(folder)
    journal, running = Journal(root), None
    for release in RELEASES:
        journal.begin(release)
        recorder.mark("begun", release.number)
        journal.step("shadowing")
        recorder.mark("swapping", release.pack)
        pointer.swap(root, release.pack, running)
        recorder.mark("swapped", release.pack)
        journal.finish("committed")
        recorder.mark("committed", release.number)
        running = release.pack


def whole_and_never_lower(folder: Path, state: State) -> None:
    swapped, committed = state.promised("swapped"), state.promised("committed")
    current = pointer.read(folder, pointer.CURRENT)
    before = [r.pack for r in RELEASES if r.pack != current][:1]
    assert current in {*swapped[-1:], *state.promised("swapping")[-1:]} or (current is None and not swapped), "pointer"
    if current == RELEASES[1].pack:
        assert pointer.read(folder, pointer.PREVIOUS) == before[0], "nothing to go back to"
    journal = Journal(folder)
    assert not (folder / "update.damaged").exists(), "the journal is damaged"
    assert journal.state.floor >= max(committed, default=0), "the floor fell"
    begun = state.promised("begun")
    if begun and begun[-1] not in committed:
        known = journal.state.active is not None or journal.state.floor >= begun[-1]
        assert known, "an update is forgotten"


def test_update__pointer_and_journal_are_old_or_new(place: Path) -> None:
    found = cut(place, two_updates, whole_and_never_lower)
    assert found.problems == []
    assert found.states > 50


@pytest.mark.parametrize("plant", [no_folder_sync, no_file_sync, in_place])
def test_update__a_missing_fsync_is_found(place: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    assert cut(place, two_updates, whole_and_never_lower, at_most=1).problems


# --- a pack that comes ---


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A pack's archive, and its address."""
    folder = tmp_path_factory.mktemp("pack")
    manifest = packs.Manifest(name="toy", labels=["car"], input=packs.Input(height=64, width=64))
    made = packs.create(folder / "made", manifest, {"model.onnx": b"graph" * 1000, "parity.npz": b"arrays"})
    path = folder / "some.wpack"
    path.write_bytes(packs.archive(made))
    return path, made.address


def unpack_and_swap(path: Path, address: str) -> Run:
    def run(root: Path, recorder: Recorder) -> None:
        files.make_folder(root / pointer.PACKS)
        recorder.mark("swapping", address)
        packs.unpack(path, root / pointer.PACKS)
        pointer.swap(root, address, None)
        recorder.mark("swapped", address)

    return run


def whole_pack_or_none(folder: Path, state: State) -> None:
    address = pointer.read(folder, pointer.CURRENT)
    assert address is not None or not state.promised("swapped"), "the pointer is gone"
    if address is not None:
        opened = pointer.open_current(folder)
        assert opened is not None, "the pointer names a pack that is not whole"
        assert opened.address == address


def test_pack__the_pointer_only_ever_names_a_whole_one(place: Path, archive: tuple[Path, str]) -> None:
    found = cut(place, unpack_and_swap(*archive), whole_pack_or_none)
    assert found.problems == []
    assert found.states > 20


@pytest.mark.parametrize("plant", [no_folder_sync, no_file_sync])
def test_pack__a_missing_fsync_is_found(
    place: Path, archive: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    plant(monkeypatch)
    assert cut(place, unpack_and_swap(*archive), whole_pack_or_none, at_most=1).problems


# --- the centre's images ---


def batches(root: Path, recorder: Recorder) -> None:
    """Images are kept, then receipted: a receipt promises what stands under the key."""
    store = segments.Segments(root, limit=3000)
    for batch in range(4):
        items = [bytes([65 + batch]) * 700, bytes([97 + batch]) * 1100]
        for key, data in zip(store.append(items), items, strict=True):
            recorder.mark("receipted", (key, data))
    store.close()


def images_are_there(folder: Path, state: State) -> None:
    for key, data in state.promised("receipted"):
        try:
            found = segments.read(folder, key)
        except OSError:
            found = b""
        assert found == data, "receipted but missing"


def test_images__what_was_receipted_is_on_the_disk(place: Path) -> None:
    found = cut(place, batches, images_are_there)
    assert found.problems == []
    assert found.states > 10


def no_data_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(segments, "os", SimpleNamespace(**{**vars(os), "fdatasync": lambda handle: None}))


@pytest.mark.parametrize("plant", [no_folder_sync, no_data_sync])
def test_images__a_missing_fsync_is_found(place: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    assert cut(place, batches, images_are_there, at_most=1).problems


# --- the centre's receipts ---


def is_database(path: PurePosixPath) -> bool:
    """SQLite syncs by itself (synchronous=FULL); what is looked at here is the order of its commit and our images."""
    return path.name.startswith("central.db")


def ingest(root: Path, recorder: Recorder) -> None:
    """Batches into the real store; a receipt is what the real code would send."""

    async def run() -> None:
        held = database.connect(f"sqlite:///{root / 'central.db'}")
        await migrate(held.engine)
        blobs = open_blobs(None, root / "blobs")
        for batch in range(3):
            messages = [frame_message(sequence=3 * batch + i) for i in range(3)]
            taken = [Received("n1", "frames", "", codec.encode("frames", m)) for m in (*messages, messages[0])]
            stored = await frames.store(held, blobs, frames.decode(taken))
            for receipt in dict.fromkeys(stored.receipts["n1"]):
                recorder.mark("receipted", receipt)
        blobs.close()
        await held.close()

    asyncio.run(run())


def receipted_is_stored(folder: Path, state: State) -> None:
    rows = {}
    if (folder / "central.db").exists():
        with contextlib.closing(sqlite3.connect(folder / "central.db")) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'frame'").fetchone():
                rows = dict(connection.execute("SELECT id, blob FROM frame").fetchall())
    missing = set(state.promised("receipted")) - set(rows)
    assert not missing, f"receipted but missing: {missing}"
    for key in rows.values():
        try:
            found = segments.read(folder / "blobs", key)
        except OSError:
            found = b""
        assert found.startswith(b"\xff\xd8") and found.endswith(b"\xff\xd9"), f"a row without its image: {key}"


def test_receipts__what_was_receipted_has_its_row_and_every_row_its_image(place: Path) -> None:
    found = cut(place, ingest, receipted_is_stored, trusted=is_database)
    assert found.problems == []
    assert found.states > 20


@pytest.mark.parametrize("plant", [no_folder_sync, no_data_sync])
def test_receipts__a_missing_fsync_is_found(place: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    assert cut(place, ingest, receipted_is_stored, at_most=1, trusted=is_database).problems
