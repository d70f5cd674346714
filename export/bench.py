"""How long one frame takes: the whole pass, and the bare session under it, all contenders in one interleaved run.

A machine's speed drifts (other work, heat). So every contender gets one pass in turn, many times over, and ratios are
of medians from the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.runtime.model import Model
from edge.runtime.prepare import Image

WARM_UP: Final = 5
"""Passes of each contender that do not count: first ones allocate."""
RUNS: Final = 60
FRAME: Final = (540, 960)
"""Height and width of the frame, pixels: what street cameras deliver."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One contender. Times in milliseconds: `p50`, `p95` of a whole pass, `bare_*` of the session alone."""

    pack: str
    backend: str
    precision: str
    threads: int
    p50_ms: float
    p95_ms: float
    bare_p50_ms: float
    bare_p95_ms: float
    overhead: float
    """Whole pass over bare session."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `ratio` and `bare_ratio`: first contender over the last, where two packs were compared."""

    rows: list[Row]
    runs: int
    ratio: float | None = None
    bare_ratio: float | None = None


class Contender:
    """A model with its own prepared input and its own measurements."""

    def __init__(self, model: Model, name: str, threads: int, frame: Image) -> None:
        self.model, self.name, self.threads, self.frame = model, name, threads, frame
        self.inputs = model.prepare(frame)[0]
        self.whole: list[float] = []
        self.bare: list[float] = []

    def once(self, count: bool) -> None:
        """Measure one whole pass and one bare pass."""
        whole = _milliseconds(lambda: self.model.infer(self.frame))
        bare = _milliseconds(lambda: self.model.backend.run(self.inputs))
        if count:
            self.whole.append(whole)
            self.bare.append(bare)

    def row(self) -> Row:
        """Return the figures so far."""
        whole, bare = np.quantile(self.whole, [0.5, 0.95]), np.quantile(self.bare, [0.5, 0.95])
        return Row(
            pack=self.name,
            backend=self.model.backend_name,
            precision=self.model.precision,
            threads=self.threads,
            p50_ms=float(whole[0]),
            p95_ms=float(whole[1]),
            bare_p50_ms=float(bare[0]),
            bare_p95_ms=float(bare[1]),
            overhead=float(whole[0] / bare[0]),
        )


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1000


def noise_frame(seed: int = 3) -> NDArray[np.uint8]:
    """Return a BGR frame of FRAME pixels; how long a network takes does not depend on what it sees."""
    coarse = np.random.default_rng(seed).integers(0, 256, (FRAME[0] // 12, FRAME[1] // 12, 3), np.uint8)
    return coarse.repeat(12, 0).repeat(12, 1)


def bench(contenders: Sequence[Contender], runs: int = RUNS, compare: bool = False) -> Bench:
    """Return the latencies of `contenders`, measured in turn `runs` times; with ratios if `compare`."""
    for index in range(WARM_UP + runs):
        for contender in contenders:
            contender.once(index >= WARM_UP)
    rows = [contender.row() for contender in contenders]
    if not compare:
        return Bench(rows=rows, runs=runs)
    first, last = rows[0], rows[-1]
    return Bench(
        rows=rows, runs=runs, ratio=first.p50_ms / last.p50_ms, bare_ratio=first.bare_p50_ms / last.bare_p50_ms
    )
