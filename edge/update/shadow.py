"""The new pack on live frames, beside the old one, before it counts.

    cameras -> worker, with the old pack, as ever
                 `-> a frame when the child is idle, of each camera in turn -> old and new pack in another process

The node goes on as if nothing were; what the shadow run may cost is a share of one processor's time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from edge.update import Host, UpdateError
from edge.update.child import Child
from edge.update.compare import Comparison, Seen
from protocols.messages import Shadow
from protocols.pack import Pack

log = structlog.get_logger("edge.update")

MODULE: Final = "edge.update.beside"
DARK_S: Final = 10.0
"""Seconds without a frame of any camera, after which a node whose cameras are all dark is updated without them."""
OPEN_S: Final = 120.0
"""Seconds for opening both packs: longer than the slowest device takes."""
HANG_S: Final = 8.0
"""Seconds for one frame with both packs: beyond it the new one hangs."""
WAIT_S: Final = 1.0
"""Seconds in which a camera's turn comes; then any camera does."""


@dataclass(frozen=True)
class Rules:
    """How a shadow run goes. frames: how many; seconds: at most, once there was one; share: of the time, in which the
    other process may work; slowest, least: what `Comparison.verdict` goes by."""

    frames: int = 20
    seconds: float = 60.0
    share: float = 0.25
    slowest: float = 2.5
    least: float = 0.2
    dark: float = DARK_S
    hang: float = HANG_S


def shadow(
    host: Host, new: Pack, how: tuple[str, str, int], rules: Rules, stop: Callable[[], bool], module: str = MODULE
) -> Shadow:
    """Run `new` beside the pack that `host` runs and return what was seen.

    `how`: backend, precision, threads. Raises UpdateError with the reason why `new` must not run, and InterruptedError
    once `stop` says so.
    """
    backend, precision, threads = how
    old = host.running()
    with Child("shadowing", module, str(old.folder), str(new.folder), backend, precision, str(threads)) as child:
        ready = child.ask(timeout=OPEN_S, what="open")
        comparison = Comparison(frozenset(map(str, ready.get("labels", ()))))
        _compare(comparison, host, child, rules, stop)
    seen = comparison.report()
    if not ready.get("compared"):
        log.warning("the pack that runs does not open twice; the new one is compared with nothing")
        return Shadow(frames=seen.frames, boxes_after=seen.boxes_after, latency_after_ms=seen.latency_after_ms)
    problem = comparison.verdict(rules.slowest, rules.least)
    if problem:
        raise RefusedError(f"shadowing: {problem}", seen)
    return seen


class RefusedError(UpdateError):
    """A pack that ran, but must not; `seen` says how it did."""

    def __init__(self, reason: str, seen: Shadow) -> None:
        super().__init__(reason)
        self.seen = seen


def _compare(comparison: Comparison, host: Host, child: Child, rules: Rules, stop: Callable[[], bool]) -> None:
    had = set[str]()
    began = last = time.monotonic()
    while comparison.frames < rules.frames:
        if stop():
            raise InterruptedError
        now = time.monotonic()
        if now - last >= rules.dark or (comparison.frames and now - began >= rules.seconds):
            break
        found = host.live_frame(min(WAIT_S, rules.dark), had)
        if found is None:
            had.clear()
            continue
        camera, image = found
        had.add(camera)
        asked = time.monotonic()
        before, after = _asked(child, image, rules.hang)
        last = time.monotonic()
        comparison.add(camera, before, after)
        time.sleep(min(rules.hang, (last - asked) * (1 / rules.share - 1)))


def _asked(child: Child, image: NDArray[np.uint8], hang: float) -> tuple[Seen, Seen]:
    head = msgspec.json.encode({"height": image.shape[0], "width": image.shape[1]}) + b"\n"
    answer = child.ask(head, np.ascontiguousarray(image).data.cast("B"), timeout=hang, what="look at a frame")
    try:
        return msgspec.convert(answer["before"], Seen), msgspec.convert(answer["after"], Seen)
    except (KeyError, msgspec.ValidationError):
        raise UpdateError("shadowing: the pack gave something that is no detection") from None
