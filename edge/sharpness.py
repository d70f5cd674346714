"""What `wayside-edge sharpness` does: one number per picture, higher is sharper.

A video has the mean of its frames, and a number for each of them. The measures are in
`edge.runtime.sharpness.scorers`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.runtime.sharpness.scorers import AUTO, Scorer, open_scorer
from edge.sources import Image, SourceError, open_source
from edge.sources.folder import SUFFIXES, in_order, read_image

CAMERA: Final = "camera"
"""Name of the camera that a video is, where a name is needed."""


def files_of(paths: list[Path]) -> list[Path]:
    """Return `paths`, of folders the images in them. Raises SourceError."""
    found: list[Path] = []
    for path in paths:
        found += in_order(path) if path.is_dir() else [path]
    return found


def pictures(path: Path, limit: int | None) -> Iterator[Image]:
    """Yield the image in `path`, of a video up to `limit` of its frames. Raises SourceError."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file", lasting=True)
    image = read_image(path)
    if image is not None:
        yield image
        return
    if path.suffix.lower() in SUFFIXES:
        raise SourceError(f"{path}: not a readable image", lasting=True)
    try:
        with closing(open_source(str(path), CAMERA)) as source:
            yield from (frame.image for frame in islice(source.frames(), limit))
    except SourceError as error:
        raise SourceError(f"{path}: not a readable image or video ({error})", lasting=True) from None


def scores_of(path: Path, scorer: Scorer, limit: int | None = None) -> list[float]:
    """Return the sharpness of the image in `path`, or of each frame of the video. Raises SourceError, RuntimeFault."""
    found = [round(scorer.score(image), 6) for image in pictures(path, limit)]
    if not found:
        raise SourceError(f"{path}: there is no frame in it", lasting=True)
    return found


def sharpness(
    files: list[Path], pack: str | None = None, method: str = AUTO, limit: int | None = None
) -> dict[str, Any]:
    """Print ``score <tab> file`` for each image and video; return ``scores`` by file, ``frames`` of each video, and
    ``ap50_lost`` (percent) where the pack knows it. Raises SourceError, RuntimeFault, PackError."""
    scores: dict[str, float] = {}
    frames: dict[str, list[float]] = {}
    lost: dict[str, float] = {}
    with ExitStack() as stack:
        scorer = open_scorer(pack, method, stack)
        for path in files_of(files):
            found = scores_of(path, scorer, limit)
            score = scores[str(path)] = round(float(np.mean(found)), 6)
            cost = scorer.lost(score)
            if cost is not None:
                lost[str(path)] = round(cost, 1)
            if len(found) > 1:
                frames[str(path)] = found
            sys.stdout.write(f"{score:.6f}\t{path}\n")
    return {
        "scores": scores, "frames": frames, "ap50_lost": lost, "method": scorer.name, "higher": "sharper",
    }  # fmt: skip
