"""Making ``parity.npz``: real frames and what the model gave for them where it was made."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float
from edge.runtime.parity import ALSO, CERTAIN, MAX_FRAMES, TOLERANCE

ROWS: Final = 32
"""Best detections of a frame that are kept; `edge.runtime.parity` compares down to the last of them."""
FURTHER: Final = 6
"""Of the detections below them, the largest and the smallest, so many each: a network has a head for each range of
sizes, and the best rows may all be of one."""
NOISE: Final = CERTAIN / 2
"""Best class score below which a detection is not kept: none is compared from CERTAIN down."""
FINENESS: Final = 4
"""Outputs are kept to this part of their tolerance: what is finer would travel with every update, as noise."""
DENSE: Final = 1024
"""Values from which an output is kept for the first frame only: a wrong kernel shows there."""
_ROWS: Final = ("boxes", "scores", "spread")

Run = Callable[[NDArray[np.uint8]], Mapping[str, Float]]


def make(
    images: Sequence[NDArray[np.uint8]],
    run: Run,
    tolerance: Mapping[str, float] | None = None,
) -> bytes:
    """Return the bytes of a ``parity.npz`` for prepared `images`, each uint8 ``[1, 3, H, W]``.

    `run` gives the reference outputs by name (the torch module, for our own networks; decoded detections, for foreign
    ones); they are kept as exactly as their tolerances ask for. `tolerance` overrides the defaults of
    `edge.runtime.parity.TOLERANCE`. ValueError: no or too many images.
    """
    if not 1 <= len(images) <= MAX_FRAMES:
        raise ValueError(f"parity needs 1 to {MAX_FRAMES} images, not {len(images)}")
    arrays: dict[str, NDArray[np.generic]] = {}
    limits = {**TOLERANCE, **(tolerance or {})}
    for index, pixels in enumerate(images):
        arrays[f"input_{index}"] = pixels
        found = kept(run(pixels), index == 0, limits)
        arrays |= {f"{name}_{index}": value for name, value in found.items()}
    stated = json.dumps(limits, sort_keys=True).encode()
    return pack_arrays({**arrays, "tolerance": np.frombuffer(stated, np.uint8)})


def kept(
    outputs: Mapping[str, Float], first: bool, limits: Mapping[str, float] = TOLERANCE
) -> dict[str, NDArray[np.generic]]:
    """Return what of `outputs` a proof keeps of a frame, the `first` or another, as exactly as `limits` ask for."""
    found = _kept(outputs, first)
    return {n: _rounded(np.asarray(v, np.float32), limits.get(n.removeprefix(ALSO))) for n, v in found.items()}


def _kept(outputs: Mapping[str, Float], dense: bool) -> dict[str, Float]:
    """Return what of `outputs` is kept: of detections the best, in their order; of large outputs all, where `dense`."""
    found = {name: np.asarray(value) for name, value in outputs.items()}
    if "scores" in found and found["scores"].ndim == 2:
        best = found["scores"].max(axis=1, initial=0.0)
        rows = np.sort(np.argsort(-best, kind="stable")[:ROWS])
        rows = rows[best[rows] >= NOISE]
        also = _further(found["boxes"], best, rows) if "boxes" in found else rows[:0]
        further = {ALSO + name: found[name][also] for name in _ROWS if name in found and len(also)}
        found |= {name: found[name][rows] for name in _ROWS if name in found} | further
    return {name: value for name, value in found.items() if dense or _of_rows(name) or value.size < DENSE}


def _of_rows(name: str) -> bool:
    return name.removeprefix(ALSO) in _ROWS


def _further(boxes: Float, best: Float, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of the largest and of the smallest boxes that are not `kept`, and no noise."""
    rest = np.setdiff1d(np.flatnonzero(best > CERTAIN), kept)
    sides = np.clip(boxes[rest, 2:] - boxes[rest, :2], 0, None).prod(axis=1)
    order = rest[np.argsort(sides, kind="stable")]
    return np.unique(np.concatenate([order[:FURTHER], order[-FURTHER:]]))


def _rounded(values: Float, tolerance: float | None) -> NDArray[np.floating[Any]]:
    """Return `values` as multiples of the power of two that is not above a FINENESS-th of `tolerance`; in half
    precision where that loses no more."""
    if not tolerance:
        return values
    step = 2.0 ** math.floor(math.log2(tolerance / FINENESS))
    rounded = np.asarray(np.rint(values / step) * step, np.float32)
    with np.errstate(over="ignore"):
        half = rounded.astype(np.float16)
    near = np.abs(half.astype(np.float32) - rounded).max(initial=0.0) <= step / 2
    return half if near else rounded


def pack_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return `arrays` as the bytes of a compressed npz. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
    return buffer.getvalue()
