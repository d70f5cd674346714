"""How well a measure of sharpness orders pictures: against a known order, or against what people said of pairs.

    list in order (or with ranks), or pairs -> score of each picture -> SROCC, KROCC, PLCC, pairwise accuracy
                                            -> the same by kind of blur and by size of the picture

PLCC is taken after the usual logistic fit of four parameters: the scale of a rank is nobody's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit  # type: ignore[import-untyped,unused-ignore]
from scipy.stats import kendalltau, spearmanr  # type: ignore[import-untyped,unused-ignore]

from central.learn.blur import pairs as comparisons
from central.learn.data.dataset import read_image

SIZES: Final = {"small": 64, "medium": 256}
"""Sides, pixels, of a square of a picture's area under which it is small, medium; else it is large."""
FEWEST: Final = 5
"""Pictures from which a correlation is told."""
ORDER_PAIRS: Final = 20_000
"""Pairs of an ordered list that pairwise accuracy is taken over, drawn by chance where there are more."""

Values = NDArray[np.float64]
Score = Callable[[Any], float]


class BlurListError(ValueError):
    """A list of pictures that cannot be used: what and where."""


@dataclass(frozen=True)
class Ranked:
    """A picture with its `rank` (higher is blurrier), the kind of its blur and a name of the scene it shows."""

    path: Path
    rank: float
    kind: str = ""
    scene: str = ""


def read_list(file: Path) -> list[Ranked]:
    """Return the pictures that `file` lists, sharpest first: a path a line, or JSON lines with ``file`` and perhaps
    ``rank`` (higher is blurrier), ``kind`` and ``scene``. Paths start from the file's folder. Raises BlurListError."""
    found = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            found.append(Ranked(file.parent / line.strip(), float(number)))
            continue
        try:
            row = json.loads(line)
            rank, kind, scene = float(row.get("rank", number)), str(row.get("kind", "")), str(row.get("scene", ""))
            found.append(Ranked(file.parent / str(row["file"]), rank, kind, scene))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BlurListError(f"{file}, line {number}: give a path, or JSON with file and rank") from None
    if not found:
        raise BlurListError(f"{file}: it lists no picture")
    return found


def size_of(shape: Sequence[int]) -> str:
    """Return how large a picture of `shape` (height, width, ...) is, in a word."""
    side = float(np.sqrt(shape[0] * shape[1]))
    return next((name for name, limit in SIZES.items() if side < limit), "large")


def _logistic(x: Values, top: float, bottom: float, middle: float, slope: float) -> Values:
    return np.asarray(bottom + (top - bottom) / (1 + np.exp(-np.clip((x - middle) / slope, -50, 50))), np.float64)


def plcc(score: Values, rank: Values) -> float:
    """Return Pearson's correlation of `rank` with the logistic fit of it by `score`, both ``[N]``; without a fit, with
    `score` itself."""
    spread = float(score.std()) or 1.0
    guess = (float(rank.max()), float(rank.min()), float(score.mean()), spread)
    fitted = score
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            found, _ = curve_fit(_logistic, score, rank, p0=guess, maxfev=4000)
            fitted = _logistic(score, *found)
        except (RuntimeError, ValueError, TypeError):
            pass
    if float(fitted.std()) < 1e-12:
        return 0.0
    return float(abs(np.corrcoef(fitted, rank)[0, 1]))


def agreement(blur: Values, rank: Values) -> dict[str, float | int | None]:
    """Return ``srocc``, ``krocc``, ``plcc``, ``pairwise`` (0..1), ``count`` of blur scores ``[N]`` by known ranks."""
    count = len(blur)
    if count < 2:
        return {"srocc": None, "krocc": None, "plcc": None, "pairwise": None, "count": count}
    first, second = np.triu_indices(count, 1)
    if len(first) > ORDER_PAIRS:
        chosen = np.random.default_rng(0).choice(len(first), ORDER_PAIRS, replace=False)
        first, second = first[chosen], second[chosen]
    wanted, given = np.sign(rank[second] - rank[first]), np.sign(blur[second] - blur[first])
    told = wanted != 0
    known = count >= FEWEST and float(np.ptp(blur)) > 0 and float(np.ptp(rank)) > 0
    return {
        "srocc": float(spearmanr(blur, rank)[0]) if known else None,
        "krocc": float(kendalltau(blur, rank)[0]) if known else None,
        "plcc": plcc(blur, rank) if known else None,
        "pairwise": float((wanted == given)[told].mean()) if told.any() else None,
        "count": count,
    }


def by_group(blur: Values, rank: Values, names: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Return `agreement` within each group of `names` ``[N]``; those without a name are left out."""
    groups = np.array(names)
    return {str(n): agreement(blur[groups == n], rank[groups == n]) for n in sorted(set(names)) if n}


def judge_list(items: Sequence[Ranked], score: Score, report: Callable[[int], None] = lambda done: None) -> Any:
    """Return how `score` (higher is sharper) orders `items`: overall, by kind of blur, by size, and, where scenes are
    named, how many have their sharpest picture first. Raises BlurListError for a picture that cannot be read."""
    blur, sizes = [], []
    for done, item in enumerate(items, 1):
        image = read_image(str(item.path))
        if image is None:
            raise BlurListError(f"{item.path}: not a readable image")
        blur.append(-score(image))
        sizes.append(size_of(image.shape))
        report(done)
    values, ranks = np.array(blur), np.array([item.rank for item in items])
    answer: dict[str, Any] = dict(agreement(values, ranks))
    answer["kinds"] = by_group(values, ranks, [item.kind for item in items])
    answer["sizes"] = by_group(values, ranks, sizes)
    scenes = [item.scene for item in items]
    if any(scenes):
        answer["scenes"] = _scenes(values, ranks, np.array(scenes))
    return answer


def _scenes(blur: Values, rank: Values, scenes: NDArray[np.str_]) -> dict[str, int]:
    """Return how many scenes there are, and of how many the sharpest picture has the best score of all."""
    names = [name for name in np.unique(scenes) if name and (scenes == name).sum() > 1]
    right = 0
    for name in names:
        mine = scenes == name
        sharp = rank[mine] == rank[mine].min()
        right += int(blur[mine][sharp].max() < blur[mine][~sharp].min(initial=np.inf))
    return {"count": len(names), "sharp_first": right}


def judge_pairs(folder: Path, score: Score, report: Callable[[int], None] = lambda done: None) -> Any:
    """Return the share of the answered pairs in `folder` that `score` orders as people did, overall and by size.

    Pairs that nobody could tell are left out of it; ``cant_tell`` counts them. Raises ValueError, BlurListError."""
    rows, untold = [], 0
    for done, pair in enumerate(comparisons.read(folder), 1):
        report(done)
        if pair.answer == "cant_tell":
            untold += 1
            continue
        images = [read_image(str(path)) for path in (pair.left, pair.right)]
        left, right = images
        if left is None or right is None:
            raise BlurListError(f"{pair.left if left is None else pair.right}: not a readable image")
        rows.append((size_of(left.shape), (score(left) > score(right)) == (pair.answer == "left")))
    answer: dict[str, Any] = {"pairwise": _share([ok for _, ok in rows]), "count": len(rows), "cant_tell": untold}
    answer["sizes"] = {n: _share([ok for size, ok in rows if size == n]) for n in sorted({size for size, _ in rows})}
    return answer


def _share(values: Sequence[bool]) -> float | None:
    return float(np.mean(values)) if values else None
