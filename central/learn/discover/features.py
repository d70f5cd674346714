"""What is computed once per image and kept on disk: its boxes, and what the frozen trunk shows in each of them.

    images -> boxes -> describe -> projection to D numbers, fitted on some of the images -> [sum N, D] float16

The projection is a principal component analysis with unit variances: what heads learn from is small, and even.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from central.learn.data.dataset import read_image
from central.learn.discover.proposals import NOTHING, Opened
from central.learn.discover.trunk import Look, describe
from edge.runtime import Float
from protocols import files

DIMENSIONS: Final = 256
FITTED: Final = 240
"""Images that the projection is fitted on, spread evenly; their boxes are thousands."""
SHRINK: Final = 1e-2
"""Of the largest variance, added to each: directions of mere noise are not blown up."""
FILE, ABOUT = "features.npz", "features.json"
EVERY: Final = 32


@dataclass(frozen=True)
class Projection:
    """``(x - mean) @ matrix``: mean ``[R]``, matrix ``[R, D]``."""

    mean: Tensor
    matrix: Tensor

    def __call__(self, raw: Tensor) -> Tensor:
        """Return raw features ``[N, R]`` as ``[N, D]``."""
        return (raw - self.mean) @ self.matrix


def fit(raw: Tensor, dimensions: int = DIMENSIONS) -> Projection:
    """Return the projection of raw features ``[N, R]`` onto their main directions."""
    mean = raw.mean(0)
    values, vectors = torch.linalg.eigh((raw - mean).T @ (raw - mean) / max(1, len(raw) - 1))
    count = min(dimensions, len(values))
    values, vectors = values[-count:].flip(0), vectors[:, -count:].flip(1)
    return Projection(mean, vectors / (values.clamp_min(0) + SHRINK * values[0].clamp_min(1e-6)).sqrt())


@dataclass(frozen=True)
class Bag:
    """The boxes of one image: boxes ``[N, 4]`` xyxy in its pixels, scores ``[N]`` of whoever found them, features
    ``[N, D]``, activations ``[N, 2, C]`` (C may be 0)."""

    boxes: Float
    scores: Float
    features: Tensor
    activations: Tensor


@dataclass
class Bags:
    """Those of many images, flat; `starts` ``[I + 1]``."""

    starts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    features: NDArray[np.float16]
    activations: NDArray[np.float16]
    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    unread: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, place: int) -> Bag:
        own = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return Bag(
            self.boxes[own], self.scores[own], torch.from_numpy(self.features[own].astype(np.float32)),
            torch.from_numpy(self.activations[own].astype(np.float32)),
        )  # fmt: skip

    @property
    def projection(self) -> Projection:
        """Return the projection that its features were made by."""
        return Projection(torch.from_numpy(self.mean), torch.from_numpy(self.matrix))


def bag_of(look: Look, projection: Projection, image: NDArray[np.uint8], boxes: Float, scores: Float) -> Bag:
    """Return the bag of one image for boxes that are given."""
    kept = describe(look(image), boxes)
    return Bag(boxes, scores, projection(kept.features), kept.activations)


def compute(
    look: Look, finder: Opened, paths: Sequence[Path], cameras: Sequence[str],
    report: Callable[[int], None] = lambda done: None, projection: Projection | None = None,
) -> Bags:  # fmt: skip
    """Return the bags of the images at `paths`; those that cannot be read have none. Raises ValueError if all are so.

    `cameras`: of each image, empty where none stands still; `projection`: that of other images, else one is fitted.
    """
    found, unread = [], []
    spread = np.linspace(0, len(paths) - 1, min(FITTED, len(paths))).round().astype(int).tolist()
    fitted: set[int] = set(spread) if projection is None else set()
    raw: list[Tensor] = []
    for place in sorted(range(len(paths)), key=lambda p: p not in fitted):
        image = read_image(str(paths[place]))
        own = NOTHING if image is None else finder.propose(image, cameras[place], paths[place])
        kept = None if image is None or not len(own.boxes) else describe(look(image), own.boxes)
        if image is None:
            unread.append(place)
        if kept is not None and place in fitted:
            raw.append(kept.features)
        found.append([place, own, kept])
        if len(found) == len(fitted) and projection is None:
            if not raw:
                raise ValueError(f"{paths[0]}: none of the images can be read, or no box was found on any")
            projection = fit(torch.cat(raw))
            raw = []
            for row in found:
                _project(row, projection)
        elif projection is not None:
            _project(found[-1], projection)
        if len(found) % EVERY == 0 or len(found) == len(paths):
            report(len(found))
    if projection is None:
        raise ValueError("there is no image to look at")
    return _packed(sorted(found, key=lambda row: row[0]), projection, unread)


def _project(row: list[Any], projection: Projection) -> None:
    if row[2] is not None:
        half = row[2].activations.numpy().astype(np.float16)
        row[2] = projection(row[2].features).numpy().astype(np.float16), half


def _packed(found: Sequence[Any], projection: Projection, unread: list[int]) -> Bags:
    counts = [len(own.boxes) for _, own, _ in found]
    kept = [row for _, _, row in found if row is not None]
    return Bags(
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        np.concatenate([own.boxes for _, own, _ in found]), np.concatenate([own.scores for _, own, _ in found]),
        np.concatenate([k[0] for k in kept]), np.concatenate([k[1] for k in kept]),
        projection.mean.numpy(), projection.matrix.numpy(), np.array(sorted(unread), np.int64),
    )  # fmt: skip


def fingerprint(look: Look, finder: Opened, paths: Sequence[Path], projection: Projection | None = None) -> str:
    """Return what changes where bags would."""
    digest = hashlib.sha256(f"{look.key}\n{finder.key}\n".encode())
    if projection is not None:
        digest.update(projection.matrix.numpy().tobytes())
    for path in paths:
        known = path.stat() if path.is_file() else None
        digest.update(f"{path}\0{known and (known.st_size, known.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def cached(
    look: Look, finder: Opened, paths: Sequence[Path], cameras: Sequence[str], folder: Path,
    report: Callable[[int], None] = lambda done: None, projection: Projection | None = None,
) -> Bags:  # fmt: skip
    """Return what `compute` does, from `folder` where it is there already. Raises OSError, ValueError."""
    key, about, file = fingerprint(look, finder, paths, projection), folder / ABOUT, folder / FILE
    if about.is_file() and file.is_file() and json.loads(about.read_bytes()).get("key") == key:
        with np.load(file, allow_pickle=False) as kept:
            return Bags(**{name: kept[name] for name in kept.files})
    folder.mkdir(parents=True, exist_ok=True)
    bags = compute(look, finder, paths, cameras, report, projection)
    about.unlink(missing_ok=True)
    np.savez(file, allow_pickle=False, **vars(bags))
    files.write_atomic(about, json.dumps({"key": key, "images": len(bags), "boxes": len(bags.boxes)}).encode())
    return bags
