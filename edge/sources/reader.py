"""A thread of its own for each camera, so that a slow or lost one never delays another.

    connecting -> watching -> ended            a recording that is over
        ^  |          |  ^
        |  +-> failed |  +-- paused            failed: opening again cannot help
        +-------------+                        a live camera that went away: again, after a random wait

Hand-over
- live sources: the newest frame wins; those overtaken are counted in `dropped`.
- files: at most QUEUE frames wait, then the reading thread does; nothing is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Literal

from edge.sources import Frame, Source, SourceError, open_source, public_name

QUEUE = 2
"""Decoded frames of a file that wait for the model: enough to overlap, little memory."""
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 2.0
"""Longest wait before a camera is tried again: back within five seconds, with the time that opening it takes."""
STALL_S = 10.0
"""Without a frame for this long, though the camera counts as watched, its thread hangs: longer than any time-out."""
STALL_PERIODS = 10.0
"""The same for a camera that is slow on purpose, in times of its period."""
CLOSE_TIMEOUT_S = 2.0
"""How long `close` waits for the thread; one that hangs in a driver is left behind as a daemon."""

State = Literal["watching", "connecting", "paused", "ended", "failed"]
log = logging.getLogger(__name__)


def backoff_s(attempt: int, random: Random) -> float:
    """Return the wait before attempt number `attempt` (from 1): full jitter, so that cameras never return in step."""
    return random.uniform(0.0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempt, 16)))


class Reader:
    """One camera being watched.

    `state` and `detail` (one sentence) say how it fares; `frames` counts those that the camera delivered, `dropped`
    those that a newer one overtook; `last_frame` is the monotonic time of the newest one.
    """

    def __init__(
        self,
        source: str,
        camera: str,
        options: Mapping[str, Any] | None = None,
        opener: Callable[..., Source] = open_source,
        random: Random | None = None,
    ) -> None:
        self.camera, self.public_source = camera, public_name(source)
        self._source, self._options, self._opener = source, dict(options or {}), opener
        self._random = random or Random()
        self.state: State = "connecting"
        self.detail = f"connecting to {self.public_source}"
        self.frames = self.dropped = 0
        self.rate: float | None = None
        self.last_frame: float | None = None
        self._endless = False
        self._queue: deque[Frame] = deque()
        self._change = threading.Condition()
        self._closing = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._opened: Source | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader-{camera}", daemon=True)

    def start(self) -> None:
        """Begin to watch. Never raises for a bad camera: see `state`."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stalled(self, now: float) -> bool:
        """Say whether a live camera is watched, but has long given no frame: its thread hangs somewhere in a driver or
        demultiplexer, and only another one can help."""
        if not self._endless or self.state != "watching" or self.last_frame is None:
            return False
        return now - self.last_frame > max(STALL_S, STALL_PERIODS / self.rate if self.rate else 0.0)

    @property
    def over(self) -> bool:
        """Whether no further frame will come: ended, failed or closed, and everything was handed over."""
        with self._change:
            return not self._queue and (self.state in ("ended", "failed") or self._closing.is_set())

    def get(self, timeout_s: float) -> Frame | None:
        """Return the next frame (live: the newest); None after `timeout_s`, or at once where no more will come."""
        deadline = time.monotonic() + timeout_s
        with self._change:
            while not self._queue:
                left = deadline - time.monotonic()
                if left <= 0 or self._closing.is_set() or self.state in ("ended", "failed"):
                    return None
                self._change.wait(left)
            frame = self._queue.popleft()
            self._change.notify_all()
            return frame

    def pause(self) -> None:
        """Stop watching: a live camera is disconnected, a recording stands still. Frames that wait are thrown away."""
        self._running.clear()
        with self._change:
            if self.state not in ("ended", "failed"):
                self._queue.clear()
                self._set("paused", "paused by an operator")

    def resume(self) -> None:
        """Watch again."""
        with self._change:
            if self.state == "paused":
                self._set("connecting", f"connecting to {self.public_source}")
        self._running.set()

    def close(self) -> None:
        """Stop the thread and release the camera. From any thread, any number of times."""
        self._closing.set()
        self._running.set()
        opened = self._opened
        if opened is not None:
            opened.close()
        with self._change:
            self._change.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)

    def _set(self, state: State, detail: str) -> None:
        with self._change:
            if (state, detail) != (self.state, self.detail):
                log.info("camera %s: %s: %s", self.camera, state, detail)
            self.state, self.detail = state, detail
            self._change.notify_all()

    def _run(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            self._running.wait()
            before = self.frames
            text, lasting = self._try()
            if not self._running.is_set() and not lasting:
                continue  # paused: the camera was closed on purpose
            if lasting or self._closing.is_set():
                return
            attempt = 1 if self.frames > before else attempt + 1
            wait = backoff_s(attempt, self._random)
            self._set("connecting", f"{text}; trying again in {wait:.1f} s")
            self._closing.wait(wait)

    def _try(self) -> tuple[str, bool]:
        """Watch once, until the camera ends, fails or is paused. Returns (why it stopped, whether for good)."""
        try:
            recorded = self._watch()
        except SourceError as error:
            if error.lasting:
                self._set("failed", str(error))
            return str(error), error.lasting
        except Exception as error:
            # The boundary of the camera's thread: whatever a driver or codec throws must not end the camera, far less
            # the node. The type alone is told, because the text may hold the address with its credentials.
            log.warning("camera %s: unexpected %s", self.camera, type(error).__name__, exc_info=log.isEnabledFor(10))
            return f"{self.public_source}: unexpected {type(error).__name__} while reading", False
        if recorded and not self._closing.is_set():
            self._set("ended", f"{self.public_source} is over after {self.frames} frames")
        return f"{self.public_source}: the camera ended its stream", recorded

    def _open(self) -> Source:
        """Open the camera. What was there before may come back (a disk, a mount), so its absence is nothing lasting."""
        try:
            return self._opener(self._source, self.camera, **self._options)
        except SourceError as error:
            raise SourceError(str(error), lasting=error.lasting and not self.frames) from error

    def _watch(self) -> bool:
        """Open the camera and hand its frames over. Returns whether it is a recording that is over."""
        source = self._open()
        self._opened, self.rate, self._endless = source, source.rate, not source.recorded
        try:
            for frame in source.frames():
                if self._closing.is_set() or not self._hand_over(frame, source):
                    return False
        finally:
            self._opened = None
            source.close()
        return source.recorded

    def _hand_over(self, frame: Frame, source: Source) -> bool:
        """Put `frame` where `get` finds it; False where a live camera is to be closed because it was paused."""
        if not self._running.is_set():
            if not source.recorded:
                return False
            self._running.wait()
        with self._change:
            while not source.live and len(self._queue) >= QUEUE and not self._closing.is_set():
                self._change.wait()
            if source.live and self._queue:
                self._queue.clear()
                self.dropped += 1
            self._queue.append(frame)
            self.frames += 1
            self.last_frame = frame.monotonic
            if self._running.is_set():
                self._set("watching", f"watching {self.public_source}")
            self._change.notify_all()
        return True
