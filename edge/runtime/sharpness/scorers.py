"""Measures by name, with what they need opened: those of the literature, and what a pack has learned.

detail, crete, laplacian ...   measures that need no model, see `edge.runtime.sharpness`
tiles                          the tile model of the pack, of the base pack where none is given
pack                           the pack's dense blur output, negated: what a node computes of every frame
auto                           the pack's tiles, else its dense blur, else detail; of the base pack by default
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from edge.runtime import Inference, RuntimeFault
from edge.runtime.prepare import Image
from edge.runtime.sharpness import methods
from protocols.pack import Pack, PackError

AUTO: Final = "auto"
PACK: Final = "pack"
TILES: Final = "tiles"
ALIASES: Final = {"classical": "detail"}
"""Names of before."""


class ModelLike(Protocol):
    """`edge.runtime.model.Model`, as it is used here."""

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        """Return what the model sees in `image`."""
        ...


@dataclass(frozen=True)
class Scorer:
    """A measure, ready to be used. `lost`: percent of AP50 that a score is expected to cost, where that is known."""

    name: str
    score: Callable[[Image], float]
    lost: Callable[[float], float | None] = lambda score: None


def names() -> list[str]:
    """Return the names of all measures."""
    return [AUTO, PACK, TILES, *methods()]


def dense(model: ModelLike, image: Image) -> float | None:
    """Return the negated mean of the dense blur that `model` gives of `image`; None where it gives none."""
    blur = model.infer(image).blur_map
    return None if blur is None or not blur.size else -float(np.mean(blur))


def _classical(name: str) -> Scorer:
    found = methods()
    if name not in found:
        raise RuntimeFault(f"method {name!r}: there are {', '.join(names())}")
    return Scorer(name, found[name].score)


def by_pack(model: ModelLike, curve: Callable[[float], float | None] = lambda score: None) -> Scorer:
    """Return the dense blur of `model` as a measure. It raises RuntimeFault where the model has no such output."""

    def score(image: Image) -> float:
        value = dense(model, image)
        if value is None:
            raise RuntimeFault("method 'pack': this needs --pack with a pack that has a blur output")
        return value

    return Scorer(PACK, score, curve)


def _tiles(pack: Pack, stack: ExitStack) -> Scorer:
    from edge.runtime.sharpness.learned import TileModel

    model = stack.enter_context(closing(TileModel(pack)))
    return Scorer(TILES, model.score, model.lost)


def _dense(pack: Pack, stack: ExitStack) -> Scorer:
    from edge.runtime.model import Model
    from edge.runtime.sharpness.calibration import table

    known = table(pack)
    curve = None if known is None else known.dense
    model = stack.enter_context(closing(Model(pack)))
    return by_pack(model, lambda score: None if curve is None else curve.at(-score))


def _has_dense(pack: Pack) -> bool:
    return pack.manifest.family == "wayside" and pack.manifest.decoder == "wayside"


def _learned(pack: Pack, method: str, stack: ExitStack) -> Scorer | None:
    """Return what `pack` has of `method`; None where that leaves the choice to others."""
    from edge.runtime.sharpness.learned import has_tiles

    if method == TILES or (method == AUTO and has_tiles(pack)):
        return _tiles(pack, stack)
    if method == PACK:
        return _dense(pack, stack)
    if _has_dense(pack):
        found = _dense(pack, stack)
        try:
            found.score(np.zeros((64, 64, 3), np.uint8))
        except RuntimeFault:
            return None
        return found
    return None


def open_scorer(pack: str | None, method: str, stack: ExitStack) -> Scorer:
    """Return the measure called `method`, of the pack called `pack` where that has it; what it opens is closed with
    `stack`. Raises RuntimeFault, PackError."""
    method = ALIASES.get(method, method)
    if method not in (AUTO, PACK, TILES):
        return _classical(method)
    if pack is None and method == PACK:
        raise RuntimeFault("method 'pack': this needs --pack with a pack that has a blur output")
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayside-")))
    try:
        from edge.runtime.packs import BASE, find

        found = _learned(find(pack or BASE, scratch), method, stack)
    except (ImportError, PackError):
        if pack is not None or method != AUTO:
            raise
        found = None
    return found or _classical("detail")
