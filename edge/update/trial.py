"""The node's own first frames with a new pack, while the old one is still open and the pointer still names it.

Whatever ends the node here, its next start is with the old pack. Only a hang cannot be undone within the process: then
the node starts anew, with the old pack.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Inference, RuntimeFault
from edge.update import Runner, UpdateError
from edge.update.beside import healthy

FRAMES: Final = 20
SECONDS: Final = 5.0
"""Of a trial, at most, where frames come but slowly."""
DARK_S: Final = 5.0
"""Seconds without a frame, after which a node whose cameras are all dark goes on without a trial."""
HANG_S: Final = 4.0
"""Seconds in one frame, after which the model hangs: the shadow run would have said so of one that is slow."""
TICK_S: Final = 0.02


class HangError(UpdateError):
    """The model does not return; only a new process helps."""


class Watched:
    """A runner, with what happened to its frames. `frames` counts those that went well; `reason` says what went wrong
    first."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.pack, self.labels, self.backend_name = runner.pack, runner.labels, runner.backend_name
        self.frames, self.reason = 0, ""
        self.began: float | None = None
        """Monotonic time at which the frame under way began."""
        self.over = False
        """Whether the trial is, so that nothing is looked at any more."""

    def infer(self, image: NDArray[np.uint8], threshold: float | None = None) -> Inference:
        """Return what the model sees. Raises what the model raises, and RuntimeFault for numbers that are none."""
        if self.over:
            return self._runner.infer(image, threshold)
        self.began = time.monotonic()
        try:
            found = self._runner.infer(image, threshold)
            if not healthy(found):
                raise RuntimeFault("the model gave a number that is not finite")
        except Exception as error:
            self.reason = self.reason or f"{type(error).__name__}: {error}"
            raise
        finally:
            self.began = None
        self.frames += 1
        return found

    def close(self) -> None:
        """Release the backend."""
        self._runner.close()


def trial(watched: Watched, stop: Callable[[], bool], seconds: float = SECONDS, dark: float = DARK_S) -> None:
    """Return once `watched` has done well on live frames. Raises UpdateError, HangError, InterruptedError."""
    began = time.monotonic()
    while True:
        if watched.reason:
            raise UpdateError(f"shadowing: {watched.reason}")
        if stop():
            raise InterruptedError
        now, busy = time.monotonic(), watched.began
        if busy is not None and now - busy >= HANG_S:
            raise HangError(f"shadowing: the model did not return within {HANG_S:.0f} s")
        if watched.frames >= FRAMES or (watched.frames and now - began >= seconds):
            return
        if busy is None and not watched.frames and now - began >= dark:
            return
        time.sleep(TICK_S)
