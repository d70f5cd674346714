"""Assessing without publishing: what `wayside-edge score` and `bench` do.

Each command has a core that takes an opened model (`score_source`, `bench_source`) and a shell that opens the pack and
writes the results (`score`, `bench`).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Protocol, TextIO, TypeVar, cast

from edge.assess import SCORES
from edge.assess.assessor import Assessor
from edge.camera import Camera, Kept, Origin, Parts, ReaderLike, to_message, value_of
from edge.redact.redactor import Redactor
from edge.runtime import Inference
from edge.runtime.prepare import calm
from edge.select import Selector
from edge.select import kinds as policies
from edge.sources import Frame, Image, Source, SourceError, open_source
from edge.spool import Spool
from edge.update import Runner
from protocols.messages import Policy

Result = TypeVar("Result")
Pairs = list[tuple[float, float]]
"""Seconds of the bare loop's and of the pipeline's blocks."""

CAMERA = "camera"
"""Name of the camera where nobody gave one."""
BLOCK = 5
"""Frames that the bare loop and the pipeline take in turn: whatever else the machine does meanwhile hits both."""
SPOOL_BYTES, SPOOL_FRAMES = 1 << 30, 10_000
"""Room in a benchmark's spool: nothing is evicted."""
WARM_UP = 5
"""Frames before a benchmark counts: the first passes allocate."""
SEED = 0


class ModelLike(Protocol):
    """`edge.runtime.model.Model`, as it is used here."""

    labels: tuple[str, ...]

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        """Return what the model sees in `image`."""
        ...


def detection_rows(inference: Inference, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the detections as JSON: ``box`` xyxy in source pixels, ``label``, ``score``, ``spread``, ``blur``."""
    found = inference.detections
    return [
        {
            "box": [round(float(v), 2) for v in found.boxes[index]],
            "label": labels[int(found.classes[index])],
            "score": round(float(found.scores[index]), 5),
            "spread": None if found.spread is None else [round(float(v), 3) for v in found.spread[index]],
            "blur": None if found.blur is None else round(float(found.blur[index]), 5),
        }
        for index in range(len(found))
    ]


class Clock:
    """Seconds that the selection counts in: of the recording for files, of this machine for live cameras."""

    def __init__(self, source: Source) -> None:
        self._recorded = source.recorded and not source.live
        self._first: Frame | None = None

    def __call__(self, frame: Frame) -> float:
        """Return the time of `frame`."""
        self._first = self._first or frame
        return (frame.time - self._first.time).total_seconds() if self._recorded else frame.monotonic


def score_source(
    source: Source, model: ModelLike, policy: Policy | None = None, seed: int = SEED
) -> Iterator[dict[str, Any]]:
    """Yield one row per frame of an opened `source`, with the keys of `wayside-edge score`; a folder's have ``name``.

    Raises SourceError when the source breaks, RuntimeFault when the model does."""
    chosen = policy or Policy(version=0)
    selector: Selector = policies()[chosen.policy].create(chosen, Random(seed))
    assessor, clock = Assessor(), Clock(source)
    for frame in source.frames():
        inference = model.infer(frame.image)
        assessment = assessor.assess(frame, inference, model.labels)
        selection = selector.decide(assessment, clock(frame), inference)
        if selection.keep:
            selector.settle(0)  # nothing is encoded
            assessor.selected(inference)
        row: dict[str, Any] = {"frame": frame.index, "time": frame.time.isoformat()}
        if frame.name:
            row["name"] = frame.name
        row["detections"] = detection_rows(inference, model.labels)
        row |= {name: getattr(assessment, name) for name in SCORES}
        yield row | {"selected": selection.keep, "probability": selection.probability, "reason": selection.reason}


class Stopwatch:
    """Sums the seconds that calls of a function take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """Return `function`, timed."""

        def timed(*arguments: Any) -> Result:
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


class _NoReader:
    """Frames are handed over, not read."""

    public_source = ""


class Pipeline:
    """All that a node does with a frame but send it: infer, assess, select; redact, encode and spool what is kept."""

    def __init__(self, model: Runner, policy: Policy, folder: Path, clock: Clock) -> None:
        self.assessor, self.health, self.keeping = Assessor(), Stopwatch(), Stopwatch()
        self.selected = 0
        self._model, self._clock = model, clock
        self._spool = Spool(folder, SPOOL_BYTES, SPOOL_FRAMES)
        parts = Parts(
            lambda: cast(ReaderLike, _NoReader()), lambda _: self.assessor,
            Redactor(labels=("person",), part="head"),
            lambda chosen: policies()[chosen.policy].create(chosen, Random(SEED)),
        )  # fmt: skip
        self._camera = Camera(CAMERA, parts, policy)
        self._camera.health.see = self.health.around(self._camera.health.see)  # type: ignore[method-assign]
        self._keep = self.keeping.around(self._kept)

    def take(self, frame: Frame) -> None:
        """Take one frame through."""
        _, kept = self._camera.watch(replace(frame, monotonic=self._clock(frame)), self._model)
        if kept is not None:
            self._keep(kept)

    def _kept(self, kept: Kept) -> None:
        message = to_message(kept, Origin("node", "", "boot"), self.selected)
        kept.settle(len(message.image))
        self._spool.add(message, value_of(kept.assessment, kept.selection))
        self.selected += 1

    def reset(self) -> None:
        """Count from here on."""
        self.assessor.seconds = dict.fromkeys(SCORES, 0.0)
        self.health.seconds = self.keeping.seconds = 0.0
        self.selected = 0


def timed(frames: Iterable[Frame], work: Callable[[Frame], object]) -> tuple[int, float]:
    """Return how many frames there were and the seconds that reading and `work` took."""
    start, count = time.perf_counter(), 0
    for frame in frames:
        work(frame)
        count += 1
    return count, time.perf_counter() - start


def alternate(bare: Callable[[], tuple[int, float]], full: Callable[[], tuple[int, float]], blocks: int) -> Pairs:
    """Run both in turn, each first every other time; return the seconds of the blocks that were whole."""
    pairs: Pairs = []
    for index in range(blocks):
        if index % 2:
            taken, long = full()
            counted, short = bare()
        else:
            counted, short = bare()
            taken, long = full()
        if min(counted, taken) < BLOCK:
            break
        pairs.append((short, long))
    return pairs


def bench_source(
    bare: Source, full: Source, model: Runner, limit: int = 300, policy: Policy | None = None
) -> dict[str, Any]:
    """Return ``fps`` of the pipeline, ``bare_fps`` of reading and inferring alone, their ``ratio`` and ``shares`` (each
    score's, of the pipeline's time), and beside them those of the camera's health and of keeping frames.

    `bare` and `full` are the same source opened twice, read in turn, block by block. The usual block counts (the
    median), so that other work of the machine does not; what only some frames cost is spread over all of them. Both
    run on one thread, and OpenCV on theirs, as in a node.
    """
    calm()
    with tempfile.TemporaryDirectory() as folder, closing(bare), closing(full):
        pipeline = Pipeline(model, policy or Policy(version=0), Path(folder), Clock(full))
        left, right = bare.frames(), full.frames()
        timed(islice(left, WARM_UP), lambda frame: model.infer(frame.image))
        timed(islice(right, WARM_UP), pipeline.take)
        pipeline.reset()
        rare: list[float] = []

        def whole() -> tuple[int, float]:
            before = pipeline.health.seconds + pipeline.keeping.seconds
            count, seconds = timed(islice(right, BLOCK), pipeline.take)
            rare.append(pipeline.health.seconds + pipeline.keeping.seconds - before)
            return count, seconds - rare[-1]

        infer = lambda frame: model.infer(frame.image)  # noqa: E731 - the whole of the bare loop
        pairs = alternate(lambda: timed(islice(left, BLOCK), infer), whole, max(1, limit // BLOCK))
    if not pairs:
        raise SourceError(f"fewer than {WARM_UP + BLOCK} frames came: too few to measure", lasting=True)
    short = median(one for one, _ in pairs) / BLOCK
    long = short + (median(two - one for one, two in pairs) + sum(rare[: len(pairs)]) / len(pairs)) / BLOCK
    spent = sum(two for _, two in pairs) + sum(rare[: len(pairs)])
    shares = {name: round(seconds / spent, 5) for name, seconds in pipeline.assessor.seconds.items()}
    return {
        "fps": round(1 / long, 2), "bare_fps": round(1 / short, 2), "ratio": round(short / long, 4), "shares": shares,
        "health_share": round(pipeline.health.seconds / spent, 5),
        "keep_share": round(pipeline.keeping.seconds / spent, 5),
        "frames": BLOCK * len(pairs), "selected": pipeline.selected,
    }  # fmt: skip


@contextmanager
def _model(pack: str) -> Iterator[Any]:
    """The model of the pack called `pack`; an archive is unpacked where it is gone afterwards."""
    from edge.runtime.model import Model
    from edge.runtime.packs import find

    with tempfile.TemporaryDirectory(prefix="wayside-") as folder, closing(Model(find(pack, Path(folder)))) as model:
        yield model


def _lines(out: Path | None) -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8")


def score(source: str, pack: str, out: Path | None = None, limit: int | None = None) -> dict[str, Any]:
    """Write a JSON line per frame of `source` to `out` or to standard output; return what was seen in short."""
    frames = selected = detections = 0
    with _model(pack) as model, closing(open_source(source, CAMERA)) as opened, _lines(out) as file:
        for row in islice(score_source(opened, model), limit):
            file.write(json.dumps(row) + "\n")
            frames, selected = frames + 1, selected + row["selected"]
            detections += len(row["detections"])
        file.flush()
    return {"frames": frames, "selected": selected, "detections": detections, "out": None if out is None else str(out)}


def bench(source: str, pack: str, limit: int = 300) -> dict[str, Any]:
    """Measure the pipeline against the bare loop on `source` and print both; return the figures."""
    with _model(pack) as model:
        result = bench_source(open_source(source, CAMERA), open_source(source, CAMERA), model, limit)
    sys.stderr.write(
        f"{result['fps']:.1f} frames per second, bare {result['bare_fps']:.1f}, ratio {result['ratio']:.3f}\n"
    )
    for name, share in (result["shares"] | {k: result[k] for k in ("health_share", "keep_share")}).items():
        sys.stderr.write(f"  {name:20s} {share:7.2%}\n")
    return result
