"""How good tags are: AP per tag and its mean; precision, recall and F1 by class and over all."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""``[N, C]`` logits."""
Labels = NDArray[np.int8]
"""``[N, C]``: 1 present, -1 absent, 0 unknown."""
TOP: Final = 3


class Prf(msgspec.Struct, frozen=True):
    """Precision, recall and F1 (0..1), by class (C) and over all cells (O)."""

    cp: float
    cr: float
    cf1: float
    op: float
    or_: float = msgspec.field(name="or")
    of1: float = 0.0


class TagReport(msgspec.Struct, frozen=True, kw_only=True):
    """Of scores against truth. Shares 0..1; None where no image is known to have the tag, or none to lack it."""

    map: float
    prf: Prf
    """At logit 0."""
    top: Prf
    """Of the three best tags of each image."""
    tags: dict[str, dict[str, Any]]
    """Per tag: ap, precision, recall, present, absent."""
    images: int


def average_precision(scores: NDArray[np.floating[Any]], present: NDArray[np.bool_]) -> float:
    """Return the AP of one class as VOC 2012 has it: area under the precision envelope at every recall."""
    order = np.argsort(-scores, kind="stable")
    hit = present[order]
    total = int(hit.sum())
    if not total:
        return float("nan")
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit].sum() / total)


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0


def _f1(p: float, r: float) -> float:
    return _ratio(2 * p * r, p + r)


def prf(chosen: NDArray[np.bool_], labels: Labels) -> Prf:
    """Return precision, recall and F1 of what was `chosen` ``[N, C]``, on the known cells."""
    present, known = labels > 0, labels != 0
    hits = (chosen & present).sum(0).astype(float)
    picked, real = (chosen & known).sum(0), present.sum(0)
    counted = real > 0
    cp = float(np.mean([_ratio(h, p) for h, p in zip(hits[counted], picked[counted], strict=True)] or [0.0]))
    cr = float(np.mean([_ratio(h, r) for h, r in zip(hits[counted], real[counted], strict=True)] or [0.0]))
    op, recall = _ratio(hits.sum(), picked.sum()), _ratio(hits.sum(), real.sum())
    return Prf(cp, cr, _f1(cp, cr), float(op), float(recall), _f1(float(op), float(recall)))


def top(scores: Scores, count: int = TOP) -> NDArray[np.bool_]:
    """Return which `count` tags of each image score best."""
    chosen = np.zeros(scores.shape, bool)
    best = np.argsort(-scores, 1, kind="stable")[:, :count]
    np.put_along_axis(chosen, best, True, 1)
    return chosen


def report(scores: Scores, labels: Labels, names: tuple[str, ...]) -> TagReport:
    """Return the figures of logits `scores` against `labels`, on the known cells.

    `map` is over the tags that some image is known to have, and some to lack.
    """
    chosen = scores > 0
    rows: dict[str, dict[str, Any]] = {}
    for c, name in enumerate(names):
        known, present = labels[:, c] != 0, labels[:, c] > 0
        some = bool(present.any()) and bool((labels[:, c] < 0).any())
        hits = int((chosen[:, c] & present).sum())
        rows[name] = {
            "ap": average_precision(scores[known, c], present[known]) if some else None,
            "precision": _ratio(hits, int((chosen[:, c] & known).sum())), "recall": _ratio(hits, int(present.sum())),
            "present": int(present.sum()), "absent": int((labels[:, c] < 0).sum()),
        }  # fmt: skip
    values = [row["ap"] for row in rows.values() if row["ap"] is not None]
    mean = float(np.mean(values)) if values else float("nan")
    return TagReport(
        map=mean, prf=prf(chosen, labels), top=prf(top(scores), labels), tags=rows, images=len(scores)
    )
