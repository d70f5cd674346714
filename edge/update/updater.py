"""The steps of an update in their order, on a thread of its own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edge.runtime import RuntimeFault
from edge.update import Host, UpdateError, delta, pointer
from edge.update.fetchers import Fetcher
from edge.update.freshness import Freshness
from edge.update.journal import MAX_STARTS, MAX_TRIALS, Journal, final_message, update_message
from edge.update.shadow import RefusedError
from edge.update.trial import HangError, Watched, trial
from protocols import pack as packs
from protocols.messages import Chunk, Release, Shadow, Step, Update
from protocols.pack import Pack, PackError
from protocols.trust import TrustError
from protocols.trust.verify import Approved, UnreachableError

log = structlog.get_logger("edge.update")

PROGRESS_STEP: Final = 0.1
"""Share of a fetch between two reports."""
IDLE_S: Final = 0.5

UNREACHABLE_S: Final = 5.0
"""Before a centre that did not answer is asked again for what it signed."""

Approve = Callable[[Release], Approved]
"""Say what the centre signed about a release. Raises TrustError, UnreachableError, OSError."""
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Proof:
    """How a pack proves itself before the node uses it; each raises UpdateError. build: None where nothing is built;
    shadow: may also raise InterruptedError, once its last argument says so; trial: as `edge.update.trial.trial`."""

    check: Callable[[Pack], str]
    shadow: Callable[[Host, Pack, Stop], Shadow | None]
    build: Callable[[Pack], str] | None = None
    trial: Callable[[Watched, Stop], None] = trial


@dataclass(frozen=True)
class Identity:
    """Who reports."""

    node: str
    boot: str


class Updater:
    """Installs releases into folder `data`. `offer` and `chunk` may be called from any thread and return at once.

    `report` publishes a step; `proof` is what a pack must pass; `approve` says what was signed about a release: nothing
    else is ever fetched or run."""

    def __init__(
        self,
        data: Path,
        identity: Identity,
        host: Host,
        fetcher: Fetcher,
        report: Callable[[Update], None],
        proof: Proof,
        approve: Approve,
        freshness: Freshness | None = None,
    ) -> None:
        self._data, self._identity, self._host = data, identity, host
        self._fetcher, self._report, self._proof = fetcher, report, proof
        self._approve, self._freshness = approve, freshness
        self.journal = Journal(data)
        self._offered: Release | None = None
        self._seen: Shadow | None = None
        self._lock = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="update", daemon=True)

    @property
    def committed(self) -> int | None:
        """Number of the release that runs, if any; None while another one only has to do well after a restart."""
        state = self.journal.state
        return None if state.active is not None and state.active.proven else state.committed or None

    @property
    def problem(self) -> str:
        """What is wrong with what the centre signs, as far as it was looked at; empty where nothing is."""
        return self._freshness.problem if self._freshness is not None else ""

    def start(self) -> None:
        """Go on with an update that a restart interrupted, then wait for releases."""
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """End the thread; an update under way goes on at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def chunk(self, chunk: Chunk) -> None:
        """Hand in a part of a file."""
        self._fetcher.take(chunk)

    def offer(self, release: Release) -> None:
        """Consider `release`: the highest number counts."""
        with self._lock:
            if self._offered is None or release.number > self._offered.number:
                self._offered = release
        self._wake.set()

    def _superseded(self, release: Release) -> bool:
        with self._lock:
            return self._offered is not None and self._offered.number > release.number

    def _run(self) -> None:
        self._guard(self._recover)
        while not self._stopping.is_set():
            self._wake.wait(IDLE_S)
            self._wake.clear()
            with self._lock:
                release, self._offered = self._offered, None
            if release is not None and not self._stopping.is_set():
                self._guard(lambda r=release: self._consider(r))  # type: ignore[misc]
            elif self._freshness is not None and not self._stopping.is_set():
                self._guard(self._freshness.tend)

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except InterruptedError:
            log.info("update interrupted; it goes on at the next start")
        except OSError as error:
            log.error("the update's journal cannot be written; the running model stays", reason=error.strerror)
        except Exception:
            # The thread's boundary: an update that fails in an unforeseen way must not end all later ones.
            log.exception("an update failed unexpectedly; the running model stays")

    def _recover(self) -> None:
        """Go on after a restart within an update."""
        active = self.journal.state.active
        if active is None:
            return
        release, current = active.release, pointer.read(self._data, pointer.CURRENT)
        given_up = f"given up after {MAX_STARTS} starts of the node"
        if current == release.pack and active.proven:
            self._resume(release, given_up)
        elif active.trials >= MAX_TRIALS:
            self._roll_back(release, f"the node ended {active.trials} times while the pack was on trial", "shadowing")
        elif self.journal.last_start():
            self._roll_back(release, given_up, active.step)
        else:
            self.journal.restarted()
            self._install(release)

    def _resume(self, release: Release, given_up: str) -> None:
        """The pointer names the pack already, but nobody said yet that all is well: it must run here, and do well."""
        if self.journal.last_start():
            self._undo(release, given_up)
            return
        self.journal.restarted()
        try:
            if self._host.running().address != release.pack:
                raise UpdateError("the pack did not open when the node started")
            watched = Watched(self._host.open(self._host.running()))
            old = self._host.swap(watched, release.number)
            self._try(watched)
        except HangError as error:
            self._undo(release, str(error))
            self._host.restart()
        except (UpdateError, RuntimeFault) as error:
            self._undo(release, str(error))
        else:
            watched.over = True
            old.close()
            self._finish(release, "committed")

    def _undo(self, release: Release, reason: str) -> None:
        """Go back to the pack before, on disk and in the node."""
        pointer.back(self._data)
        previous = pointer.open_current(self._data)
        if previous is not None and self._host.running().address == release.pack:
            try:
                self._host.swap(self._host.open(previous), self.journal.state.committed).close()
            except RuntimeFault as error:
                log.error("the pack before does not open", reason=str(error))
        self._roll_back(release, reason, "shadowing")

    def _consider(self, release: Release) -> None:
        state = self.journal.state
        if release.number <= state.floor:
            done = state.finished
            if done is not None and done.number == release.number:
                self._report(final_message(self._identity.node, self._identity.boot, done))
            return
        self.journal.begin(release)
        self._tell(release, "announced")
        self._install(release)

    def _install(self, release: Release) -> None:
        self._seen = None
        try:
            pack = self._obtain(release)
            self._prove(release, pack)
            self._commit(release, pack)
        except HangError as error:
            self._roll_back(release, str(error), "shadowing")
            self._host.restart()
        except (UpdateError, PackError, RuntimeFault) as error:
            self._fetcher.discard(release.pack)
            self._roll_back(release, str(error), self._step_name())
        except InterruptedError:
            if self._stopping.is_set():
                raise
            self._roll_back(release, "superseded by a newer release", None)
        except OSError as error:
            step = self._step_name()
            self._roll_back(release, f"{step}: {error.strerror or error}", step)

    def _obtain(self, release: Release) -> Pack:
        self._step(release, "fetching")
        approved = self._approved(release)
        folder = self._data / pointer.PACKS / release.pack
        if folder.is_dir():
            try:
                return packs.open_folder(folder)
            except PackError:
                log.warning("a pack that was there is damaged; fetching it again", pack=release.pack[:12])
        archive = self._fetch(release, approved)
        try:
            self._verify(release, approved, archive)
        except UpdateError as error:
            log.warning("what was fetched is damaged; fetching it once more", reason=str(error))
            self._fetcher.discard(release.pack)
            self._step(release, "fetching")
            archive = self._fetch(release, approved)
            self._verify(release, approved, archive)
        self._step(release, "applying")
        pack = packs.unpack(archive, self._data / pointer.PACKS)
        self._fetcher.discard(release.pack)
        return pack

    def _approved(self, release: Release) -> Approved:
        """Return what was signed about `release`, however long its centre cannot be reached."""
        while True:
            try:
                return self._approve(release)
            except TrustError as error:
                raise UpdateError(f"refused: {error}") from None
            except UnreachableError as error:
                log.warning("the centre does not say what it signed; asking again", reason=str(error))
            if self._interrupted(release):
                raise InterruptedError
            self._stopping.wait(UNREACHABLE_S)

    def _fetch(self, release: Release, approved: Approved) -> Path:
        running = self._host.running().address

        def stop() -> bool:
            return self._interrupted(release)

        delta.obtain(self._data, self._fetcher, running, release.pack, approved, self._progress(release), stop)
        return self._fetcher.fetch(release.pack, approved, self._progress(release), stop)

    def _verify(self, release: Release, approved: Approved, archive: Path) -> None:
        self._step(release, "verifying")
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != approved.sha256:
            raise UpdateError("verifying: tampered: the archive is not the one that was signed")
        try:
            manifest, _, _ = packs.read_archive(archive)
        except PackError as error:
            raise UpdateError(f"verifying: {str(error).removeprefix(f'{archive}: ')}") from None
        if (address := hashlib.sha256(manifest).hexdigest()) != release.pack:
            raise UpdateError(f"verifying: the archive is pack {address[:12]}, the release says {release.pack[:12]}")

    def _interrupted(self, release: Release) -> bool:
        return self._stopping.is_set() or self._superseded(release)

    def _prove(self, release: Release, pack: Pack) -> None:
        """Let `pack` prove itself in other processes, and note what was seen."""
        if self._proof.build is not None:
            self._step(release, "building")
            log.info("engine made", origin=self._proof.build(pack))
        self._step(release, "checking")
        log.info("pack checked", detail=self._proof.check(pack))
        if self._interrupted(release):
            raise InterruptedError
        self._step(release, "shadowing")
        try:
            self._seen = self._proof.shadow(self._host, pack, lambda: self._interrupted(release))
        except RefusedError as error:
            self._seen = error.seen
            raise
        finally:
            self.journal.saw(self._seen)

    def _commit(self, release: Release, pack: Pack) -> None:
        """Use `pack` on trial, then swap the pointer, then say so. Until the pointer is swapped the next start is with
        the old pack; from then on it must still do well before it is reported."""
        self.journal.on_trial()
        before = pointer.read(self._data, pointer.CURRENT) or self._host.running().address
        watched = Watched(self._host.open(pack))
        old = self._host.swap(watched, release.number)
        try:
            self._try(watched)
            self.journal.proven()
            self._point(pack.address, before)
        except HangError:
            raise
        except (UpdateError, OSError):
            self._host.swap(old, self.journal.state.committed).close()
            raise
        watched.over = True
        self._finish(release, "committed")
        old.close()

    def _try(self, watched: Watched) -> None:
        self._proof.trial(watched, self._stopping.is_set)

    def _point(self, address: str, before: str) -> None:
        """Swap the pointer; where only making it durable failed, it is swapped all the same."""
        try:
            pointer.swap(self._data, address, before)
        except OSError:
            if pointer.read(self._data, pointer.CURRENT) != address:
                raise

    def _roll_back(self, release: Release, reason: str, failed: Step | None) -> None:
        self._finish(release, "rolled-back", reason, failed)

    def _finish(self, release: Release, step: Step, reason: str = "", failed: Step | None = None) -> None:
        self.journal.finish(step, reason, failed)
        done = self.journal.state.finished
        if done is not None:
            log.info("update", release=release.number, pack=release.pack[:12], step=step, reason=reason)
            self._report(final_message(self._identity.node, self._identity.boot, done))
        pointer.tidy(self._data, {self._host.running().address})

    def _step_name(self) -> Step:
        active = self.journal.state.active
        return active.step if active else "announced"

    def _step(self, release: Release, step: Step) -> None:
        if self._stopping.is_set():
            raise InterruptedError
        self.journal.step(step)
        self._tell(release, step)

    def _progress(self, release: Release) -> Callable[[float], None]:
        told = 0.0

        def progress(share: float) -> None:
            nonlocal told
            if share >= told + PROGRESS_STEP:
                told = share
                self._tell(release, "fetching", share)

        return progress

    def _tell(self, release: Release, step: Step, progress: float = 0.0) -> None:
        if not 0.0 < progress < 1.0:
            log.info("update", release=release.number, pack=release.pack[:12], step=step)
        self._report(update_message(self._identity.node, self._identity.boot, release, step, progress))
