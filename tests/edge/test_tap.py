"""Live frames for somebody who looks on."""

from __future__ import annotations

import threading
import time

import numpy as np

from edge.tap import Tap

IMAGE = np.zeros((2, 2, 3), np.uint8)


def fed(tap: Tap, *cameras: str) -> threading.Thread:
    def feed() -> None:
        for _ in range(200):
            for camera in cameras:
                tap.feed(camera, IMAGE)
            time.sleep(0.002)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    return thread


def test_next__the_next_frame_of_another_camera() -> None:
    tap = Tap()
    thread = fed(tap, "a", "b")
    found = tap.next(5.0, {"a"})
    assert found is not None and found[0] == "b" and found[1] is IMAGE
    thread.join()


def test_next__nobody_gives_one() -> None:
    tap = Tap()
    tap.feed("a", IMAGE)
    assert tap.next(0.01) is None
    thread = fed(tap, "a")
    assert tap.next(0.05, {"a"}) is None
    thread.join()
