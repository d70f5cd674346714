"""Decoding with PyAV: recordings (files, also over HTTP) and what live streams share with them.

PyAV was chosen over OpenCV's capture because it names its errors, gives time stamps and has time-outs; OpenCV ends a
truncated file, a missing file and a stream that went away in the same silence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from edge.sources import Frame, Image, SourceError
from edge.sources.pacing import Pacer, Thinner

DEFAULT_RATE = 25.0
"""Frames per second of a recording that does not say."""
MAX_DAMAGED = 100
"""Packets in a row that cannot be decoded before a recording or stream is given up."""
COMPLETE_SHARE = 0.98
"""Of the frames that a container promises; fewer is truncated. Some muxers count one or two more."""
MAX_PIXELS = 64_000_000
"""Of one frame: more than any camera has, less than exhausts a node's memory."""

Opener = Callable[[], InputContainer]


def why(error: Exception) -> str:
    """Return FFmpeg's reason without the address, which may hold credentials."""
    return str(getattr(error, "strerror", "") or type(error).__name__).rstrip(".")


def rate_of(container: InputContainer) -> float | None:
    """Return the frames per second that the first video stream claims."""
    rate = container.streams.video[0].average_rate
    return float(rate) if rate else None


def to_image(picture: VideoFrame, name: str) -> Image:
    """Return the BGR image of a decoded frame. Raises SourceError where it is absurdly large."""
    if picture.width * picture.height > MAX_PIXELS:
        raise SourceError(f"{name}: frames of {picture.width}x{picture.height} are too large", lasting=True)
    return np.ascontiguousarray(picture.to_ndarray(format="bgr24"), dtype=np.uint8)


def pictures(
    container: InputContainer, name: str, stop: threading.Event, blind_s: float | None = None
) -> Iterator[VideoFrame]:
    """Yield decoded frames until the end or `stop`, skipping damaged packets. Raises SourceError after MAX_DAMAGED of
    them in a row, or, live, where packets came for `blind_s` seconds without a picture in them."""
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    damaged, seen = 0, time.monotonic()
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except av.FFmpegError as error:
            damaged += 1
            blind = blind_s is not None and time.monotonic() - seen > blind_s
            if damaged >= MAX_DAMAGED or (blind and damaged > 1):
                raise SourceError(f"{name}: {damaged} packets in a row cannot be decoded: {why(error)}") from error
            continue
        for picture in decoded:
            damaged, seen = 0, time.monotonic()
            yield picture
            seen = time.monotonic()
        if stop.is_set():
            return


class Recording:
    """A video that has an end. Implements `edge.sources.Source`."""

    recorded = True

    def __init__(
        self, opener: Opener, name: str, camera: str, fps: float | None = None, paced: bool = False, loop: bool = False
    ) -> None:
        """Open the recording, to fail early. Raises SourceError."""
        self._opener, self._name, self._camera = opener, name, camera
        self._fps, self._loop, self.live = fps, loop, paced
        self._stop = threading.Event()
        self._busy = threading.Lock()
        self._container: InputContainer | None = opener()
        self._native = rate_of(self._container) or DEFAULT_RATE
        self.rate: float | None = min(self._native, fps) if fps else self._native

    def frames(self) -> Iterator[Frame]:
        """Yield frames; `time` is the wall clock where paced, else counted from the opening by media time."""
        opened, thinner, pacer = datetime.now(UTC), Thinner(self._fps), Pacer(self._stop)
        for seconds, index, picture in self._timed():
            if not thinner.due(seconds):
                continue
            if self.live and not pacer.wait(seconds):
                return
            at = None if self.live else opened + timedelta(seconds=seconds)
            yield Frame.now(to_image(picture, self._name), self._camera, index, at=at)

    def _timed(self) -> Iterator[tuple[float, int, VideoFrame]]:
        """Yield (media seconds since the opening, number in the recording, picture), over all rounds of a loop."""
        offset = 0.0
        while not self._stop.is_set():
            last = offset
            with self._busy:
                container, self._container = self._container or self._again(), None
                try:
                    for index, (seconds, picture) in enumerate(self._once(container)):
                        last = offset + seconds
                        yield last, index, picture
                finally:
                    container.close()
            if not self._loop:
                return
            offset = last + 1.0 / self._native

    def _again(self) -> InputContainer:
        """Open the recording for another round. It was there before, so its absence is nothing lasting."""
        try:
            return self._opener()
        except SourceError as error:
            raise SourceError(str(error)) from error

    def _once(self, container: InputContainer) -> Iterator[tuple[float, VideoFrame]]:
        promised, count, first = container.streams.video[0].frames, 0, None
        try:
            for picture in pictures(container, self._name, self._stop):
                time = picture.time if picture.time is not None else count / self._native
                first = time if first is None else first
                count += 1
                yield max(0.0, time - first), picture
        except av.FFmpegError as error:
            raise SourceError(f"{self._name}: broken after {count} frames: {why(error)}", lasting=True) from error
        if self._stop.is_set():
            return
        if not count:
            raise SourceError(f"{self._name}: not one frame can be decoded; the file is damaged", lasting=True)
        if count < promised * COMPLETE_SHARE - 1:
            raise SourceError(f"{self._name}: truncated, ends after {count} of {promised} frames", lasting=True)

    def close(self) -> None:
        """End the iteration and release the file, at once or after the frame that is being decoded."""
        self._stop.set()
        if self._busy.acquire(blocking=False):
            try:
                if self._container is not None:
                    self._container.close()
                    self._container = None
            finally:
                self._busy.release()
