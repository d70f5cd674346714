"""The process in which old and new pack look at the same frames, one after the other.

    python -m edge.update.beside OLD NEW BACKEND PRECISION THREADS

OLD and NEW are folders of packs. For each line of JSON on standard input, ``{"height": H, "width": W}``, followed by
the bytes of a BGR image, it prints what both saw. An old pack that does not open a second time compares with nothing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.runtime import Inference, RuntimeFault
from edge.update import Runner
from edge.update.child import die_with_parent, tell
from edge.update.compare import Seen
from protocols.pack import PackError, open_folder

MAX_SIDE: Final = 16384


class Shape(msgspec.Struct, frozen=True):
    """Pixels of an image."""

    height: int
    width: int


def healthy(inference: Inference) -> bool:
    """Whether every number in `inference` is finite."""
    found = inference.detections
    arrays = (
        found.boxes, found.scores, found.spread, found.blur,
        inference.class_scores, inference.blur_map, inference.embedding, inference.tags,
    )  # fmt: skip
    return all(a is None or bool(np.isfinite(a).all()) for a in arrays)


def look(runner: Runner, image: NDArray[np.uint8]) -> Seen:
    """Return what `runner` sees in `image`, and the time that it took. Raises RuntimeFault."""
    began = time.perf_counter()
    inference = runner.infer(image)
    took = 1000 * (time.perf_counter() - began)
    if not healthy(inference):
        raise RuntimeFault("the model gave a number that is not finite")
    found = inference.detections
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in found.boxes]
    return Seen(took, boxes, [float(s) for s in found.scores], [runner.labels[int(c)] for c in found.classes])


def opened(folder: str, backend: str, precision: str, threads: str) -> Runner:
    """Open the pack in `folder`. Raises PackError, RuntimeFault."""
    from edge.runtime.model import Model

    return Model(open_folder(Path(folder)), backend=backend, precision=precision, threads=int(threads))


def serve(old: Runner | None, new: Runner, source: BinaryIO) -> None:
    """Answer until `source` ends."""
    count = 0
    while line := source.readline():
        shape = msgspec.json.decode(line, type=Shape)
        if not (1 <= shape.height <= MAX_SIDE and 1 <= shape.width <= MAX_SIDE):
            raise ValueError("an image of no size")
        data = source.read(3 * shape.height * shape.width)
        image = np.frombuffer(data, np.uint8).reshape(shape.height, shape.width, 3)
        runners = [("before", old or new), ("after", new)]
        if count == 0:  # the first pass of either allocates
            for _, runner in runners:
                look(runner, image)
        # Each goes first every other time: what the first one warms up serves the second.
        seen = {name: look(runner, image) for name, runner in (runners[::-1] if count % 2 else runners)}
        count += 1
        tell(True, before=msgspec.to_builtins(seen["before"]), after=msgspec.to_builtins(seen["after"]))


def main() -> None:
    """The child process."""
    die_with_parent()
    before, after, *how = sys.argv[1:]
    try:
        new = opened(after, *how)
        try:
            old = opened(before, *how) if before else None
        except (PackError, RuntimeFault):
            old = None
        tell(True, compared=old is not None, labels=list(new.labels))
        serve(old, new, sys.stdin.buffer)
    except (PackError, RuntimeFault) as error:
        tell(False, reason=str(error))
    except Exception as error:  # noqa: BLE001
        # The boundary to a model that nobody here made: whatever it raises is the reason why it does not run.
        tell(False, reason=f"{type(error).__name__}: {error}"[:500])


if __name__ == "__main__":
    main()
