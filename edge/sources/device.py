"""Cameras on this machine: an index (``0``) or a device file (``/dev/video0``)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.sources import Frame, Source, SourceError
from edge.sources.pacing import Thinner

DEVICE = re.compile(r"(?:/dev/video)?(\d{1,3})")
MAX_MISSES = 10
"""Reads in a row without an image before the camera counts as gone."""


class Device:
    """A local camera. Implements `edge.sources.Source`."""

    live = True
    recorded = False

    def __init__(self, capture: cv2.VideoCapture, name: str, camera: str, fps: float | None) -> None:
        self._capture, self._name, self._camera, self._fps = capture, name, camera, fps
        self._stop = threading.Event()
        self._busy = threading.Lock()
        native = float(capture.get(cv2.CAP_PROP_FPS)) or None
        self.rate: float | None = min(native, fps) if native and fps else fps or native

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they arrive. Raises SourceError when the camera is unplugged."""
        start, thinner, index, misses = time.monotonic(), Thinner(self._fps), 0, 0
        with self._busy:
            try:
                while not self._stop.is_set():
                    good, image = self._capture.read()
                    misses = 0 if good else misses + 1
                    if misses >= MAX_MISSES:
                        raise SourceError(f"{self._name}: gives no images any more; is it still plugged in?")
                    if good and thinner.due(time.monotonic() - start):
                        yield Frame.now(np.asarray(image, np.uint8), self._camera, index)
                        index += 1
            finally:
                self._capture.release()

    def close(self) -> None:
        """End the iteration; the reading thread releases the device."""
        self._stop.set()
        if self._busy.acquire(blocking=False):
            self._capture.release()
            self._busy.release()


class DeviceKind:
    """The member of `edge.sources` for local cameras."""

    name = "device"

    def matches(self, source: str) -> bool:
        """True for a number and for ``/dev/videoN``."""
        return DEVICE.fullmatch(source) is not None

    def open(self, source: str, camera: str, **options: Any) -> Source:
        """Open the device. Options: ``fps`` (thin to). Raises SourceError."""
        match = DEVICE.fullmatch(source)
        number = int(match.group(1)) if match else -1
        path = Path(f"/dev/video{number}")
        if not path.exists():
            raise SourceError(f"{source}: there is no camera at {path}; list those there are with 'ls /dev/video*'")
        capture = cv2.VideoCapture(number, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise SourceError(f"{source}: {path} cannot be opened; another program may be using it")
        return Device(capture, str(path), camera, options.get("fps"))


SOURCE = DeviceKind()
