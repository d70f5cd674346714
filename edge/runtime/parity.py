"""Proving that a device computes what the pack was made with.

    parity.npz   input_<i>         uint8 [1, 3, H, W], as prepared, before any normalisation outside the graph
                 <output>_<i>      what the graph gave where it was made
                 boxes_<i>, scores_<i>   foreign packs: what the decoder made of it
                 also_boxes_<i>, ...     a few detections further down, so that those of every size are proven
                 tolerance         JSON (bytes): output -> largest absolute difference that is still the same

Detections are compared as sets: rows of nearly equal score may change places between devices, and with them who is the
last of the top K. Everything else is compared element by element.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edge.runtime import Detections, Float, RuntimeFault
from edge.runtime.model import Model
from edge.runtime.prepare import normalise
from protocols.pack import PARITY, PackError

TOLERANCE: Final[dict[str, float]] = {
    "boxes": 0.1,
    "scores": 1e-3,
    "spread": 0.1,
    "blur": 1e-2,
    "embedding": 1e-3,
    "tags": 1e-3,
}
"""Largest absolute difference; boxes and spread in input pixels."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Of all arrays together, unpacked: 50 frames of 960x640 have 92 MB."""
MAX_ARRAYS: Final = 2000
MAX_FRAMES: Final = 200
FOREIGN_THRESHOLD: Final = 0.05
"""Score from which a foreign pack's decoded detections are compared."""
CERTAIN: Final = 0.05
"""Best class score under which a row is noise, and not compared."""
COARSE_FACTOR: Final = 20.0
"""How many tolerances variants of less precision may be away from the outputs of their own that they carry: kernels of
another device round elsewhere, and a step of 8 bits is wide (scores 0.02, boxes 2 pixels)."""
_ROWS: Final = ("boxes", "scores", "spread")
ALSO: Final = "also_"
"""Begins the names of rows that are kept beside the best ones."""

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ParityReport:
    """Whether this device computes the same. `worst`: largest difference by output; `detail`: one sentence."""

    ok: bool
    detail: str
    worst: dict[str, float] = field(default_factory=dict)
    frames: int = 0


def _check_members(source: zipfile.ZipFile) -> None:
    infos = source.infolist()
    if len(infos) > MAX_ARRAYS or sum(i.file_size for i in infos) > MAX_BYTES:
        raise RuntimeFault(f"{PARITY}: more than {MAX_ARRAYS} arrays or {MAX_BYTES} bytes")
    for info in infos:
        if not info.filename.endswith(".npy"):
            raise RuntimeFault(f"{PARITY}: member {info.filename!r} is not an array")


def _array(data: bytes) -> NDArray[np.generic]:
    """Return the array in `data`; what its header promises must be there. Raises ValueError, EOFError."""
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError("an array of objects, or of no size")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"an array of {list(shape)} in {len(data)} bytes")
    return npy.read_array(io.BytesIO(data), allow_pickle=False)


def load(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the npz at `path`; sizes are checked first, nothing is unpickled. Raises RuntimeFault."""
    try:
        with zipfile.ZipFile(path) as source:
            _check_members(source)
            arrays: dict[str, NDArray[np.generic]] = {}
            for info in source.infolist():
                with source.open(info) as member:
                    arrays[info.filename[:-4]] = _array(member.read())
            return arrays
    except OSError as error:
        raise RuntimeFault(f"{path}: not readable ({error.strerror or error})") from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise RuntimeFault(f"{path}: not a whole set of arrays ({error}); get the pack again") from None


def tolerances(arrays: Arrays) -> dict[str, float]:
    """Return the tolerance by output that `arrays` carry over the defaults. Raises RuntimeFault."""
    found = dict(TOLERANCE)
    if "tolerance" not in arrays:
        return found
    try:
        stated = json.loads(arrays["tolerance"].tobytes())
        found.update({str(name): float(value) for name, value in stated.items()})
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise RuntimeFault(f"{PARITY}: its tolerances are not a JSON object of numbers") from None
    return found


def frames(arrays: Arrays) -> list[tuple[NDArray[np.uint8], dict[str, Float]]]:
    """Return input and expected outputs by name of each frame. Raises RuntimeFault where there is none."""
    found = []
    for index in range(MAX_FRAMES):
        pixels = arrays.get(f"input_{index}")
        if pixels is None:
            break
        if pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise RuntimeFault(
                f"{PARITY}: input_{index} is {pixels.dtype} {list(pixels.shape)}, not uint8 [1, 3, H, W]"
            )
        tail = f"_{index}"
        expected = {
            name.removesuffix(tail): np.asarray(value, np.float32)
            for name, value in arrays.items()
            if name.endswith(tail) and not name.startswith("input_")
        }
        found.append((pixels.astype(np.uint8, copy=False), expected))
    if not found:
        raise RuntimeFault(f"{PARITY}: it holds no frame (input_0)")
    return found


def worst_rows(expected: Arrays, actual: Arrays, tolerance: Mapping[str, float], cut: float) -> dict[str, float]:
    """Return the largest difference by output between two sets of detections, each row against its nearest.

    Both hold ``boxes [K, 4]``, ``scores [K, C]`` and perhaps ``spread [K, 4]``. Rows whose best score is within
    tolerance of `cut` (where the set was cut off) may be missing on one side. A row without any partner gives infinity.
    """
    one, other = (nearest_rows(*pair, tolerance, cut) for pair in ((expected, actual), (actual, expected)))
    return {name: max(gap, other[name]) for name, gap in one.items()}


def nearest_rows(first: Arrays, second: Arrays, tolerance: Mapping[str, float], cut: float) -> dict[str, float]:
    """The same for the rows of `first` alone: how far each is from the nearest one of `second`."""
    names = [name for name in _ROWS if name in first and name in second]
    worst = dict.fromkeys(names, 0.0)
    floor = max(cut, CERTAIN) + tolerance["scores"]
    rows = np.flatnonzero(np.asarray(first["scores"]).max(axis=1, initial=0.0) >= floor)
    if len(rows) and not len(second["scores"]):
        return dict.fromkeys(names, float("inf"))
    for row in rows:
        gaps = {n: np.abs(np.asarray(second[n]) - np.asarray(first[n])[row]).max(axis=1) for n in names}
        nearest = int(np.argmin(np.max([gaps[n] / tolerance[n] for n in names], axis=0)))
        worst = {n: max(worst[n], float(gaps[n][nearest])) for n in names}
    return worst


def _cut(scores: NDArray[np.generic]) -> float:
    best = np.asarray(scores, np.float32).max(axis=1, initial=0.0)
    return float(best.min()) if len(best) else 0.0


def compare(expected: Arrays, actual: Arrays, tolerance: Mapping[str, float]) -> dict[str, float]:
    """Return the largest difference by output of one frame; infinity where an output is missing or misshapen."""
    worst: dict[str, float] = {}
    rows = "boxes" in expected and "scores" in expected and "boxes" in actual and "scores" in actual
    if rows:
        if np.shape(expected["scores"])[1:] != np.shape(actual["scores"])[1:]:
            return {"scores": float("inf")}
        cut = max(_cut(expected["scores"]), _cut(actual["scores"]))
        worst.update(worst_rows(expected, actual, tolerance, cut))
        further = {name: expected[ALSO + name] for name in _ROWS if ALSO + name in expected}
        if len(further.get("scores", ())):
            gaps = nearest_rows(further, actual, tolerance, _cut(actual["scores"]))
            worst.update({name: max(gap, worst[name]) for name, gap in gaps.items()})
    for name, wanted in expected.items():
        if name in worst or (rows and name.startswith(ALSO)):
            continue
        given = actual.get(name)
        if given is None or given.shape != wanted.shape:
            worst[name] = float("inf")
        else:
            gap = np.abs(np.asarray(given, np.float32) - np.asarray(wanted, np.float32))
            worst[name] = float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))
    return worst


def decoded(found: Detections, scores: Float | None) -> dict[str, Float]:
    """Return a foreign pack's detections in the form in which they are compared."""
    columns = found.scores[:, None] if scores is None else scores
    return {"boxes": found.boxes, "scores": columns}


def outputs(model: Model, pixels: NDArray[np.uint8]) -> dict[str, Float]:
    """Return what `model` makes of prepared `pixels` ``[1, 3, H, W]``, in the form in which it is compared."""
    raw = model.backend.run(normalise(pixels, model.pack.manifest.input))
    if model.pack.manifest.family == "wayside":
        return raw
    return decoded(*model.decoder.decode(raw, model.pack.manifest, FOREIGN_THRESHOLD))


def _expected(expected: dict[str, Float], precision: str) -> tuple[dict[str, Float], float]:
    own = {n.removesuffix(f"@{precision}"): v for n, v in expected.items() if n.endswith(f"@{precision}")}
    if own:
        return own, COARSE_FACTOR
    return {n: v for n, v in expected.items() if "@" not in n}, 1.0


def check(model: Model) -> ParityReport:
    """Run the pack's `parity.npz` on this device and compare. Raises RuntimeFault where it is missing or damaged."""
    try:
        arrays = load(model.pack.path(PARITY))
    except PackError as error:
        raise RuntimeFault(str(error)) from None
    limits = tolerances(arrays)
    worst: dict[str, float] = {}
    examples = frames(arrays)
    factor = 1.0
    for pixels, stored in examples:
        expected, factor = _expected(stored, model.precision)
        names = {name: limits.get(name, 1e-3) * factor for name in (*expected, *_ROWS)}
        for name, gap in compare(expected, outputs(model, pixels), names).items():
            worst[name] = max(worst.get(name, 0.0), gap)
    bad = {name: gap for name, gap in worst.items() if gap > limits.get(name, 1e-3) * factor}
    if not bad:
        return ParityReport(
            True,
            f"{len(examples)} frames agree on {model.backend_name}",
            worst,
            len(examples),
        )
    name, gap = max(bad.items(), key=lambda item: item[1])
    detail = f"{name} is off by {gap:.4g} on {model.backend_name}, {limits.get(name, 1e-3) * factor:.4g} allowed"
    return ParityReport(False, detail, worst, len(examples))
