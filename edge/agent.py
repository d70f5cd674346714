"""The node: wiring, and the threads that keep its parts from waiting for each other.

    readers (one thread per camera) -> worker (one, shared fairly) -> writer (one) -> spool -> link (one)
                                          ^                                                  |
                                          `-- swap of the model between frames -- update <---'

- The worker asks each camera in turn for its newest frame, so that a slow camera never delays another.
- The writer redacts, encodes and fsyncs; a disk that stalls costs selected frames (counted), never assessment.
- The main thread reports: health, counts, alerts. Signals end it.
Nothing that a camera, a model, a message or the disk does may end a thread: each loop has one boundary that logs and
goes on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog

import edge
from edge import identity
from edge.camera import Camera, Image, Kept, Origin, Parts, to_message, value_of
from edge.config import NodeConfig
from edge.ledger import Ledger
from edge.link import Connector, Handler, Link, LinkSettings, Presence
from edge.metrics import Exporter, temperature
from edge.redact import RedactError
from edge.reply import answer
from edge.runtime import RuntimeFault
from edge.samples import samples
from edge.sources import Frame
from edge.spool import Spool
from edge.tap import Tap
from edge.update import Runner, pointer
from edge.update.updater import Updater
from protocols.codec import CodecError
from protocols.messages import Command, Event, Health, Policy, Release, Status, Update, utc_now
from protocols.pack import Pack
from protocols.slots import SlotError

log = structlog.get_logger("edge.agent")

WRITING: Final = 16
"""Kept frames that wait for the disk: 100 MB of full HD images at most."""
IDLE_S: Final = 0.005
"""How long the worker waits at one camera when none has a frame; bounds both latency and wake-ups."""
ALERT_S: Final = 10.0
"""Seconds that a camera is away before operators are told; shorter losses are usual."""
MAIN_TICK_S: Final = 0.2
STOP_S: Final = 1.2
"""Seconds for the cameras to close, and again for the link."""
COMPLAIN_EVERY: Final = 100
"""Of a fault that repeats with each frame, only every so many are logged."""

Ending = Literal["stopped", "restart", "once"]


@dataclass(frozen=True)
class Outside:
    """What the node is given rather than makes: so that tests can give something else."""

    connector: Connector
    open: Callable[[Pack], Runner]
    parts: Mapping[str, Parts]
    updater: Callable[[Agent], Updater]


class Agent:
    """A node. `run` returns when it is told to stop."""

    def __init__(self, config: NodeConfig, boot: str, runner: Runner, spool: Spool, outside: Outside) -> None:
        self.config, self.boot, self.spool = config, boot, spool
        self.started = time.monotonic()
        self._crashes = identity.crashes(config.data)
        told = {name: (camera.tags, camera.place) for name, camera in config.cameras.items()}
        self.cameras = {
            name: Camera(name, p, config.policy_of(name), *told.get(name, ())) for name, p in outside.parts.items()
        }
        self._ledger = Ledger(config.data)
        for name, camera in self.cameras.items():
            camera.resume(self._ledger.rows(name), self.started)
        self._policy: Policy | None = None
        self._policy_problem = ""
        self._runner = runner
        self._next_runner: Runner | None = None
        self._last_runner: Runner | None = None
        self._told_pack = runner.pack.address  # what presence and health name: not a pack that is on trial
        self._open = outside.open
        self._origin = Origin(config.node, config.site, boot)
        self._sequence = 0
        self._busy = False
        self._writing: queue.Queue[Kept | None] = queue.Queue(WRITING)
        self._tap = Tap()
        self._stopping, self._swapped = threading.Event(), threading.Event()
        self._ending: Ending = "stopped"
        self.updater = outside.updater(self)
        m = config.mqtt
        settings = LinkSettings(m.prefix, config.node, m.window, m.receipt_timeout_s, backoff_cap=m.backoff_cap_s)
        handlers: dict[str, Handler] = {
            "policy": self._take_policy, "release": self._take_release,
            "chunks": self.updater.chunk, "command": self._take_command,
        }  # fmt: skip
        self.link = Link(settings, outside.connector, spool, self.status, handlers)
        self._threads = [
            threading.Thread(target=self._work, name="worker", daemon=True),
            threading.Thread(target=self._write, name="writer", daemon=True),
        ]

    # --- from start to end ---

    def run(self, *, once: bool = False) -> Ending:
        """Watch until `stop`, or, with `once`, until every camera is over and every frame has its receipt."""
        port = self.config.metrics.port
        exporter = Exporter(port, lambda: samples(self.spool, self.link, self.cameras)) if port else None
        for thread in self._threads:
            thread.start()
        for camera in self.cameras.values():
            camera.reader.start()
        self.link.start()
        self.updater.start()
        log.info("watching", node=self.config.node, cameras=list(self.cameras), pack=self._runner.pack.address[:12])
        try:
            self._report(once)
        finally:
            self._end()
            if exporter:
                exporter.close()
        return self._ending

    def stop(self, ending: Ending = "stopped") -> None:
        """End `run` soon. Safe in a signal handler."""
        self._ending = ending
        self._stopping.set()

    def _end(self) -> None:
        self._stopping.set()
        closers = [threading.Thread(target=c.reader.close, daemon=True) for c in self.cameras.values()]
        for closer in closers:
            closer.start()
        self.updater.stop(0.3)
        until = time.monotonic() + STOP_S
        for thread in (*closers, *self._threads):
            thread.join(max(0.0, until - time.monotonic()))
        self.link.stop(STOP_S)
        self.spool.close()
        self._ledger.close()
        identity.stopped(self.config.data)
        log.info("stopped", waiting_frames=len(self.spool))

    def _report(self, once: bool) -> None:
        now = time.monotonic()
        health_at, events_at = now + min(1.0, self.config.metrics.health_interval_s), now
        while not self._stopping.wait(MAIN_TICK_S):
            now = time.monotonic()
            self._guarded("stalls", lambda now=now: self._stalls(now))  # type: ignore[misc]
            self._guarded("alerts", lambda now=now: self._alerts(now))  # type: ignore[misc]
            if now >= health_at:
                health_at = now + self.config.metrics.health_interval_s
                self._guarded("health", lambda: self.link.send("health", self.health()))
            if now >= events_at:
                events_at = now + self.config.metrics.events_interval_s
                self._guarded("counts", self._send_counts)
            if once and self._all_done():
                self.stop("once")

    def _guarded(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            # The main thread's boundary: a report that fails must not end the node.
            log.exception("a report failed", report=what)

    def _all_done(self) -> bool:
        # In this order: a frame that was taken before its camera was over is still being assessed, or waits to be
        # written.
        over = all(c.reader.over for c in self.cameras.values())
        return over and not self._busy and self._writing.unfinished_tasks == 0 and len(self.spool) == 0

    # --- the worker ---

    def _work(self) -> None:
        turn = 0
        while not self._stopping.is_set():
            self._maybe_swap()
            cameras = list(self.cameras.values())
            frames = sum(self._one(camera, 0.0) for camera in cameras)
            if not frames and cameras:
                turn = (turn + 1) % len(cameras)
                self._one(cameras[turn], IDLE_S)

    def _one(self, camera: Camera, timeout: float) -> int:
        """Assess the next frame of `camera`, if it has one. Returns how many were."""
        if camera.reader.over:
            time.sleep(timeout)
            return 0
        self._busy = True
        try:
            frame = camera.reader.get(timeout)
            if frame is None:
                return 0
            self._assess(camera, frame)
            return 1
        finally:
            self._busy = False

    def _assess(self, camera: Camera, frame: Frame) -> None:
        try:
            image, kept = camera.watch(frame, self._runner)
        except Exception as error:
            # The worker's boundary: one camera's frame, or one pass of a model, must not end the watching of all.
            camera.meter.failed(str(error))
            if camera.meter.faults % COMPLAIN_EVERY == 1:
                expected = isinstance(error, RuntimeFault)
                log.error("a frame could not be assessed", camera=camera.name, reason=str(error), exc_info=not expected)
            return
        self._tap.feed(camera.name, image)
        if kept is not None:
            camera.meter.selected += 1
            try:
                self._writing.put_nowait(kept)
            except queue.Full:
                kept.settle(0)
                camera.meter.overtaken += 1

    def _write(self) -> None:
        while not (self._stopping.is_set() and self._writing.empty()):
            try:
                kept = self._writing.get(timeout=MAIN_TICK_S)
            except queue.Empty:
                continue
            try:
                if kept is not None:
                    self._keep(kept)
            except RedactError as error:
                log.error("a frame was thrown away: it could not be redacted", reason=str(error))
            except CodecError as error:
                log.error("a frame is too large to send", camera=kept.camera.name if kept else "", reason=str(error))
            except Exception:
                # The writer's boundary: one frame that cannot be written must not end the spooling of all.
                log.exception("a frame could not be kept")
            finally:
                self._writing.task_done()

    def _keep(self, kept: Kept) -> None:
        size = 0
        try:
            message = to_message(kept, self._origin, self._sequence)
            size = len(message.image)
            self._ledger.note(kept.camera.name, kept.frame.monotonic, size)  # before it can leave the node
        finally:
            kept.settle(size)
        if self.spool.add(message, value_of(kept.assessment, kept.selection)):
            self._sequence += 1
            self.link.wake()

    # --- the model (edge.update.Host) ---

    def open(self, pack: Pack) -> Runner:
        """Open `pack` as configured. Raises RuntimeFault."""
        return self._open(pack)

    def running(self) -> Pack:
        """Return the pack that runs."""
        return self._runner.pack

    def live_frame(self, timeout: float, not_of: Collection[str] = ()) -> tuple[str, Image] | None:
        """Return camera and masked image of the next frame that is assessed, of a camera other than `not_of`."""
        return self._tap.next(timeout, not_of)

    def restart(self) -> None:
        """End `run`, to be started anew."""
        self.stop("restart")

    def swap(self, runner: Runner, release: int) -> Runner:
        """Use `runner` from the next frame on; return the one before, still open, when it is in use no more."""
        self._swapped.clear()
        self._next_runner = runner
        while not self._swapped.wait(MAIN_TICK_S):
            if self._stopping.is_set():
                raise InterruptedError
        old, self._last_runner = self._last_runner, None
        log.info("model swapped", release=release, pack=runner.pack.address[:12])
        return old or runner

    def _maybe_swap(self) -> None:
        if self._next_runner is None:
            return
        self._last_runner, self._runner, self._next_runner = self._runner, self._next_runner, None
        for camera in self.cameras.values():
            camera.forget()
        self._swapped.set()

    # --- messages ---

    def status(self, state: Presence) -> Status:
        """Return the presence message for `state`."""
        address = self._told_pack
        committed = pointer.read(self.config.data, pointer.CURRENT) == address
        return Status(
            state=state, node=self.config.node, boot=self.boot, time=None if state == "offline" else utc_now(),
            site=self.config.site, version=edge.__version__, pack=address,
            release=self.updater.committed if committed else None,
            backend=self._runner.backend_name, cameras=[c.info() for c in self.cameras.values()],
        )  # fmt: skip

    def health(self) -> Health:
        """Return the health message of now, and begin a new interval."""
        now = time.monotonic()
        cameras = []
        for camera in self.cameras.values():
            camera.meter.tick(now)
            reader = camera.reader
            detail = next(iter(camera.alerts.standing.values()), reader.detail)
            standing = list(camera.alerts.standing.values())
            cameras.append(camera.meter.health(camera.name, reader.state, detail, reader.dropped, standing))
        counters = self.spool.counters
        return Health(
            node=self.config.node, boot=self.boot, time=utc_now(), uptime_s=now - self.started,
            pack=self._told_pack, spool_frames=len(self.spool), spool_bytes=self.spool.size_bytes,
            spool_quota_bytes=self.spool.max_bytes, evicted=self.spool.dropped,
            damaged=self.spool.totals.damaged, parked=self.spool.totals.parked,
            sent=counters.receipted, sent_bytes=counters.receipted_bytes, temperature_c=temperature(), cameras=cameras,
            crashes=self._crashes,
        )  # fmt: skip

    def _send_counts(self) -> None:
        for camera in self.cameras.values():
            counts, camera.counts = camera.counts, {}
            if camera.reader.state == "watching":
                event = Event(node=self.config.node, camera=camera.name, time=utc_now(), kind="counts", counts=counts)
                self.link.send("events", event, camera.name)

    def _stalls(self, now: float) -> None:
        """Connect cameras anew whose threads hang."""
        for camera in self.cameras.values():
            if camera.reader.stalled(now):
                begun = camera.restart()
                log.warning("a camera gives no frames any more", camera=camera.name, connecting=begun)

    def _alerts(self, now: float) -> None:
        """Tell operators what is wrong with a camera for longer than usual, and when it is over."""
        for camera in self.cameras.values():
            for text, raised in camera.alerts.changes(self._wrong(camera, now)):
                level = logging.WARNING if raised else logging.INFO
                log.log(level, "alert", camera=camera.name, alert=text, raised=raised)
                event = Event(
                    node=self.config.node, camera=camera.name, time=utc_now(), kind="alert", alert=text[:2000],
                    raised=raised,
                )  # fmt: skip
                self.link.send("events", event, camera.name)

    def _wrong(self, camera: Camera, now: float) -> dict[str, str]:
        """Return what is wrong with `camera` now, by kind of alert."""
        reader = camera.reader
        lost = reader.state in ("connecting", "failed") or reader.stalled(now)
        away = camera.away.lasts(now, lost, ALERT_S)
        wrong = {
            "away": reader.detail if away else "", "redact": camera.problem, "policy": self._policy_wrong(),
            "release": self._unread("release"),
            "model": camera.meter.failing, "trust": self.updater.problem,
        }  # fmt: skip
        return {kind: text for kind, text in (wrong | camera.health.wrong).items() if text}

    def _policy_wrong(self) -> str:
        return self._unread("policy") or self._policy_problem

    def _unread(self, channel: str) -> str:
        """Return what to tell where the newest message on a retained `channel` makes no sense to this node."""
        reason = self.link.problems.get(channel, "")
        return f"the {channel} from the centre is not understood: {reason}; the one before stays" if reason else ""

    def report_update(self, update: Update) -> None:
        """Publish a step of an update."""
        over = update.step in ("committed", "rolled-back")
        if over:
            self._told_pack = self._runner.pack.address
        self.link.send("update", update)
        if over:
            self.link.announce()

    def _take_policy(self, policy: Policy) -> None:
        if policy == self._policy or (self._policy is not None and policy.version < self._policy.version):
            return
        try:
            for camera in self.cameras.values():  # all before any, so that no camera goes over alone
                camera.check(self.config.policy_of(camera.name, policy))
            for camera in self.cameras.values():
                camera.use(self.config.policy_of(camera.name, policy))
        except SlotError as error:
            self._policy_problem = f"policy {policy.version} cannot be followed: {error}; the one before stays"
            log.error("a policy from the centre cannot be followed; the old one stays", reason=str(error))
            return
        self._policy, self._policy_problem = policy, ""
        log.info("new policy", version=policy.version, policy=policy.policy, frames_per_hour=policy.frames_per_hour)

    def _take_release(self, release: Release) -> None:
        self.updater.offer(release)

    def _take_command(self, command: Command) -> None:
        reply = answer(command, self.config.node, self.cameras)
        self.link.send("reply", reply)
        if command.action == "restart" and not command.camera and reply.ok:
            self.stop("restart")
