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
from edge.update import Host, Runner, UpdateError, delta, pointer
from edge.update.fetchers import Fetcher
from edge.update.journal import MAX_STARTS, Journal, update_message
from edge.update.shadow import shadow
from protocols import pack as packs
from protocols.messages import Chunk, Release, Step, Update
from protocols.pack import Pack, PackError
from protocols.trust import TrustError
from protocols.trust.verify import Approved, UnreachableError

log = structlog.get_logger("edge.update")

PROGRESS_STEP: Final = 0.1
"""Share of a fetch between two reports."""
IDLE_S: Final = 0.5

Shadow = Callable[[Host, Runner], str]
Approve = Callable[[Release], Approved]
"""Say what the centre signed about a release. Raises TrustError, UnreachableError, OSError."""
UNREACHABLE_S: Final = 5.0
"""Before a centre that did not answer is asked again for what it signed."""


@dataclass(frozen=True)
class Identity:
    """Who reports."""

    node: str
    boot: str


class Updater:
    """Installs releases into folder `data`. `offer` and `chunk` may be called from any thread and return at once.

    `report` publishes a step; `check` opens the pack and proves it, apart from the node, and raises UpdateError;
    `approve` says what was signed about a release: nothing else is ever fetched or run."""

    def __init__(
        self,
        data: Path,
        identity: Identity,
        host: Host,
        fetcher: Fetcher,
        report: Callable[[Update], None],
        check: Callable[[Pack], str],
        approve: Approve,
        shadowing: Shadow = shadow,
    ) -> None:
        self._data, self._identity, self._host = data, identity, host
        self._fetcher, self._report, self._check, self._shadow = fetcher, report, check, shadowing
        self._approve = approve
        self.journal = Journal(data)
        self._offered: Release | None = None
        self._lock = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="update", daemon=True)

    @property
    def committed(self) -> int | None:
        """Number of the release that runs, if any."""
        return self.journal.state.committed or None

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
        if pointer.read(self._data, pointer.CURRENT) == active.release.pack and active.step == "shadowing":
            self._finish(active.release, "committed")
        elif self.journal.restarted() > MAX_STARTS:
            self._finish(active.release, "rolled-back", f"{active.step}: given up after {MAX_STARTS} starts")
        else:
            self._install(active.release)

    def _consider(self, release: Release) -> None:
        state = self.journal.state
        if release.number <= state.floor:
            done = state.finished
            if done is not None and done.number == release.number:
                self._tell(release, done.step, reason=done.reason)
            return
        self.journal.begin(release)
        self._tell(release, "announced")
        self._install(release)

    def _install(self, release: Release) -> None:
        try:
            pack = self._obtain(release)
            runner = self._prove(release, pack)
        except (UpdateError, PackError, RuntimeFault) as error:
            self._fetcher.discard(release.pack)
            self._finish(release, "rolled-back", str(error))
            return
        except InterruptedError:
            if self._stopping.is_set():
                raise
            self._finish(release, "rolled-back", "superseded by a newer release")
            return
        except OSError as error:
            self._finish(release, "rolled-back", f"{self._step_name()}: {error.strerror or error}")
            return
        self._commit(release, pack, runner)

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
        delta.obtain(self._data, self._fetcher, self._host.running(), release.pack, approved)
        return self._fetcher.fetch(
            release.pack, approved, self._progress(release), lambda: self._interrupted(release)
        )

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

    def _prove(self, release: Release, pack: Pack) -> Runner:
        self._step(release, "checking")
        log.info("pack checked", detail=self._check(pack))
        if self._interrupted(release):
            raise InterruptedError
        runner = self._host.open(pack)
        self._step(release, "shadowing")
        try:
            log.info("pack shadowed", detail=self._shadow(self._host, runner))
        except UpdateError:
            runner.close()
            raise
        return runner

    def _commit(self, release: Release, pack: Pack, runner: Runner) -> None:
        """Swap the pointer, then the model. A crash in between starts with the new pack and finishes the journal."""
        try:
            pointer.swap(self._data, pack.address, pointer.read(self._data, pointer.CURRENT) or self._host.running())
        except OSError as error:
            runner.close()
            self._finish(release, "rolled-back", f"shadowing: {error.strerror or error}")
            return
        self._host.swap(runner, release.number)
        self._finish(release, "committed")

    def _finish(self, release: Release, step: Step, reason: str = "") -> None:
        self.journal.finish(step, reason)
        self._tell(release, step, 1.0, reason)
        pointer.tidy(self._data, {a for a in (self._host.running(),) if a})

    def _step_name(self) -> str:
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

    def _tell(self, release: Release, step: Step, progress: float = 0.0, reason: str = "") -> None:
        if not 0.0 < progress < 1.0:
            why = {"reason": reason} if reason else {}
            log.info("update", release=release.number, pack=release.pack[:12], step=step, **why)
        self._report(update_message(self._identity.node, self._identity.boot, release, step, progress, reason))
