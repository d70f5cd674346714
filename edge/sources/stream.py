"""Network cameras: RTSP (over TCP) and HTTP (MJPEG, HLS, and video files behind a URL).

Credentials stand in the address and nowhere else: FFmpeg's own messages repeat the address, so only its reason is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import av
from av.container import InputContainer

from edge.sources import Frame, Source, SourceError, gstreamer, public_name
from edge.sources.names import NAMES, host_of
from edge.sources.pacing import Thinner
from edge.sources.recording import Recording, pictures, rate_of, to_image, why

SCHEMES = ("rtsp://", "rtsps://", "http://", "https://")
OPEN_TIMEOUT_S = 10.0
"""For connecting and reading the stream's header; cameras wake up slowly."""
READ_TIMEOUT_S = 5.0
"""Without a byte for this long, a camera is gone."""
BLIND_S = 2.0
"""Bytes come, but not one picture can be made of them: the codec changed, or half of each picture is missing."""
log = logging.getLogger(__name__)
HINTS = {
    av.error.HTTPUnauthorizedError: "wrong user or password (401)",
    av.error.HTTPForbiddenError: "access forbidden (403)",
    av.error.HTTPNotFoundError: "no such stream at this address (404)",
    TimeoutError: f"no answer within {OPEN_TIMEOUT_S:.0f} s",
    ConnectionRefusedError: "connection refused; is the camera on and the port right?",
}


def reason(error: Exception, otherwise: str = "the camera cannot be reached or refused") -> str:
    """Return the reason in words, without the address; `otherwise` where FFmpeg has none of its own."""
    for kind, text in HINTS.items():
        if isinstance(error, kind):
            return text
    text = why(error)
    return otherwise if text in ("", "Input/output error") else text


def open_stream(source: str) -> InputContainer:
    """Connect to `source`. Raises SourceError."""
    name = public_name(source)
    try:
        NAMES.check(host_of(source))
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from None
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if source.lower().startswith("rtsp") else {}
    try:
        container = av.open(source, mode="r", options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{name}: {reason(error)}"
        ) from None  # the cause would print the address with its credentials
    if not container.streams.video:
        container.close()
        raise SourceError(f"{name}: there is no video in this stream")
    return container


class Stream:
    """A live network camera. Implements `edge.sources.Source`."""

    live = True
    recorded = False

    def __init__(self, container: InputContainer, name: str, camera: str, fps: float | None) -> None:
        self._container, self._name, self._camera, self._fps = container, name, camera, fps
        self._stop = threading.Event()
        self._busy = threading.Lock()
        native = rate_of(container)
        self.rate: float | None = min(native, fps) if native and fps else fps or native

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they arrive. Raises SourceError when the camera goes away or is silent for READ_TIMEOUT_S."""
        start, thinner, index = time.monotonic(), Thinner(self._fps), 0
        with self._busy:
            try:
                for picture in pictures(self._container, self._name, self._stop, BLIND_S):
                    if self._stop.is_set():
                        return
                    if not thinner.due(time.monotonic() - start):
                        continue
                    yield Frame.now(to_image(picture, self._name), self._camera, index)
                    index += 1
            except (av.FFmpegError, OSError) as error:
                raise SourceError(f"{self._name}: went away: {reason(error, 'the connection broke')}") from None
            finally:
                self._container.close()
        if not self._stop.is_set():
            raise SourceError(f"{self._name}: the camera ended its stream")

    def close(self) -> None:
        """End the iteration; the connection closes at once, or with the next frame or time-out of the reading thread.

        FFmpeg's contexts must not be freed under a reading thread, so that thread frees them."""
        self._stop.set()
        if self._busy.acquire(blocking=False):
            self._container.close()
            self._busy.release()


class StreamKind:
    """The member of `edge.sources` for network cameras."""

    name = "stream"

    def matches(self, source: str) -> bool:
        """True for RTSP and HTTP addresses."""
        return source.lower().startswith(SCHEMES)

    def open(self, source: str, camera: str, **options: Any) -> Source:
        """Connect. Options: ``fps`` (thin to), ``decode`` (``auto``, ``software`` or ``hardware``); for recordings also
        ``paced``, ``loop``. Raises SourceError."""
        fps, decode = options.get("fps"), str(options.get("decode", "auto"))
        rtsp = source.lower().startswith("rtsp")
        hardware = in_hardware(source, camera, fps, decode) if rtsp and decode != "software" else None
        if hardware is not None:
            return hardware
        container = open_stream(source)
        if not container.duration or rtsp:
            return Stream(container, public_name(source), camera, fps)
        container.close()
        paced, loop = bool(options.get("paced")), bool(options.get("loop"))
        return Recording(lambda: open_stream(source), public_name(source), camera, fps, paced, loop)


def in_hardware(source: str, camera: str, fps: float | None, decode: str) -> Source | None:
    """Return `source` decoded in hardware; None where that does not work, with the reason in the log."""
    decoder, reason = gstreamer.available()
    if decoder is not None:
        NAMES.check(host_of(source))
        try:
            return gstreamer.HardwareStream(source, public_name(source), camera, fps, decoder)
        except SourceError as error:
            reason = str(error)
    level = logging.WARNING if decoder is not None or decode == "hardware" else logging.DEBUG
    log.log(level, "camera %s: decoded in software: %s", camera, reason)
    return None


SOURCE = StreamKind()
