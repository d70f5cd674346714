"""Live frames for somebody who looks on: one at a time, and only when one is asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class Tap:
    """`feed` is called with every frame and returns at once; `next` waits for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: queue.Queue[tuple[str, Image]] | None = None
        self._not_of: frozenset[str] = frozenset()

    def feed(self, camera: str, image: Image) -> None:
        """Hand in a frame of `camera`."""
        with self._lock:
            if self._asked is not None and camera not in self._not_of:
                self._asked.put_nowait((camera, image))
                self._asked = None

    def next(self, timeout: float, not_of: Collection[str] = ()) -> tuple[str, Image] | None:
        """Return camera and image of the next frame of a camera other than `not_of`; None after `timeout` seconds."""
        asked: queue.Queue[tuple[str, Image]] = queue.Queue(1)
        with self._lock:
            self._asked, self._not_of = asked, frozenset(not_of)
        try:
            return asked.get(timeout=timeout)
        except queue.Empty:
            return None
        finally:
            with self._lock:
                self._asked = None
