"""Decoding on the graphics processor or video unit, through GStreamer, where this machine's OpenCV was built with it.

    missing() == "" -> pipeline(address) -> cv2.VideoCapture -> HardwareStream

NVIDIA's and most distributions' OpenCV has GStreamer, the one from package indexes has not. What is missing is told in
one line, and PyAV decodes on the processor instead: see `edge.sources.stream`.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import cv2
import numpy as np

from edge.sources import Frame, SourceError
from edge.sources.pacing import Thinner

CONVERTERS: Final = {
    "nvv4l2decoder": "nvvidconv", "nvh264dec": "cudadownload", "vah264dec": "vapostproc",
    "vaapih264dec": "vaapipostproc", "v4l2h264dec": "v4l2convert", "v4l2slh264dec": "videoconvert",
}  # fmt: skip
"""Decoders that use hardware (Jetson, NVIDIA cards, VA-API new and old, V4L2 with and without state), best first, and
what brings their pictures into main memory."""
OPEN_MS, READ_MS = 10_000, 5_000
"""For connecting, and between two pictures: as with PyAV."""
INSPECT_S: Final = 20.0
"""For looking up one element; the first look-up on a machine builds GStreamer's registry."""


class Capture(Protocol):
    """`cv2.VideoCapture`, as it is used here."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Say whether it could be opened."""
        ...

    def read(self) -> tuple[bool, Any]:
        """Return whether there is a picture, and the picture ``[H, W, 3]``."""
        ...

    def release(self) -> None:
        """Close it."""
        ...


def built_with_gstreamer(information: str) -> bool:
    """Say whether OpenCV's build `information` names GStreamer."""
    lines = (line.partition(":") for line in information.splitlines())
    return any(key.strip() == "GStreamer" and value.strip().startswith("YES") for key, _, value in lines)


def has_element(name: str) -> bool:
    """Say whether GStreamer has the element `name`."""
    program = shutil.which("gst-inspect-1.0")
    if program is None:
        return False
    try:
        done = subprocess.run([program, "--exists", name], capture_output=True, timeout=INSPECT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_decoder(has: Callable[[str], bool] = has_element) -> str | None:
    """Return the best hardware decoder of this machine, or None."""
    return next((name for name in CONVERTERS if has(name)), None)


def missing(information: str, decoder: str | None) -> str:
    """Return why this machine does not decode in hardware, and what to do; empty where it does."""
    if not built_with_gstreamer(information):
        return "OpenCV has no GStreamer; NVIDIA's and most distributions' packages of it have"
    if decoder is None:
        return f"GStreamer has no hardware decoder ({', '.join(CONVERTERS)}), or gst-inspect-1.0 is not installed"
    return ""


@functools.cache
def available() -> tuple[str | None, str]:
    """Return the hardware decoder that can be used, and why there is none. Looked up once per process."""
    information = cv2.getBuildInformation()
    decoder = find_decoder() if built_with_gstreamer(information) else None
    return decoder, missing(information, decoder)


def pipeline(address: str, decoder: str) -> str:
    """Return GStreamer's description of the way from `address` to BGR pictures; the newest counts.

    The decoders of a machine rank themselves above those in software, so `uridecodebin` takes them for each codec."""
    if address.lower().startswith("rtsp://"):
        address = "rtspt" + address[4:]  # over TCP, as with PyAV
    quoted = address.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'uridecodebin uri="{quoted}" ! {CONVERTERS[decoder]} ! videoconvert ! video/x-raw,format=BGR '
        "! appsink drop=true max-buffers=1 sync=false"
    )


def _open(text: str) -> Capture:
    return cv2.VideoCapture(
        text, cv2.CAP_GSTREAMER, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
    )


class HardwareStream:
    """A live network camera, decoded in hardware. Implements `edge.sources.Source`."""

    live = True
    recorded = False

    def __init__(
        self, address: str, name: str, camera: str, fps: float | None, decoder: str,
        open_capture: Callable[[str], Capture] = _open,
    ) -> None:  # fmt: skip
        """Open `address`, called `name` where people see it. Raises SourceError; GStreamer does not say why."""
        self._name, self._camera, self._fps = name, camera, fps
        self.rate: float | None = fps
        self._stop, self._busy = threading.Event(), threading.Lock()
        self._capture = open_capture(pipeline(address, decoder))
        good, first = self._capture.read() if self._capture.isOpened() else (False, None)
        self._first: Any = first
        if not good:
            self._capture.release()
            raise SourceError(f"{name}: {decoder} gives no picture of it")

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they arrive. Raises SourceError when the camera goes away or is silent."""
        start, thinner, index = time.monotonic(), Thinner(self._fps), 0
        with self._busy:
            try:
                good, image = True, self._first
                while good and not self._stop.is_set():
                    if thinner.due(time.monotonic() - start):
                        yield Frame.now(np.asarray(image, np.uint8), self._camera, index)
                        index += 1
                    good, image = self._capture.read()
            finally:
                self._capture.release()
        if not self._stop.is_set():
            raise SourceError(f"{self._name}: went away: no picture for {READ_MS // 1000} s, or the stream ended")

    def close(self) -> None:
        """End the iteration; the reading thread releases the capture."""
        self._stop.set()
        if self._busy.acquire(blocking=False):
            self._capture.release()
            self._busy.release()
