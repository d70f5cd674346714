"""Making ``parity.npz``: real frames and what the model gave for them where it was made."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float
from edge.runtime.parity import MAX_FRAMES, TOLERANCE

Run = Callable[[NDArray[np.uint8]], Mapping[str, Float]]


def make(
    images: Sequence[NDArray[np.uint8]],
    run: Run,
    tolerance: Mapping[str, float] | None = None,
) -> bytes:
    """Return the bytes of a ``parity.npz`` for prepared `images`, each uint8 ``[1, 3, H, W]``.

    `run` gives the reference outputs by name (the torch module, for our own networks; decoded detections, for foreign
    ones). `tolerance` overrides the defaults of `edge.runtime.parity.TOLERANCE`. ValueError: no or too many images.
    """
    if not 1 <= len(images) <= MAX_FRAMES:
        raise ValueError(f"parity needs 1 to {MAX_FRAMES} images, not {len(images)}")
    arrays: dict[str, NDArray[np.generic]] = {}
    for index, pixels in enumerate(images):
        arrays[f"input_{index}"] = pixels
        for name, value in run(pixels).items():
            arrays[f"{name}_{index}"] = np.asarray(value, np.float32)
    stated = json.dumps({**TOLERANCE, **(tolerance or {})}, sort_keys=True).encode()
    return pack_arrays({**arrays, "tolerance": np.frombuffer(stated, np.uint8)})


def pack_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return `arrays` as the bytes of a compressed npz. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
    return buffer.getvalue()
