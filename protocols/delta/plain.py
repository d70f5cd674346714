"""Tensors whose change lies on no grid: whole, changed in places, or changed everywhere; always bit for bit.

raw: the new values. sparse: where values changed, and what they are now. planes: the difference of the bit patterns, a
plane per byte, of which the upper ones are nearly constant.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.delta import patch
from protocols.delta.errors import DeltaError
from protocols.delta.weights import Array

SPARSE_SHARE: Final = 0.25
"""Share of changed values from which positions cost more than planes do."""


def _bits(values: Array) -> NDArray[np.unsignedinteger]:
    return np.ascontiguousarray(values).reshape(-1).view(f"<u{values.dtype.itemsize}")


def _minus(first: NDArray[np.unsignedinteger], second: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    return np.asarray(np.subtract(first, second), first.dtype)


def _planes(values: Array) -> bytes:
    """Return the bytes of `values` ``[N]`` with all first bytes first."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, values.dtype.itemsize).T).tobytes()


def _merged(data: bytes, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, count)
    return np.ascontiguousarray(planes.T).view(kind).reshape(count)


def _zigzag(difference: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Return small numbers for small differences of either sign, so that the upper bytes are zeros."""
    signed = difference.view(f"<i{difference.dtype.itemsize}")
    return np.asarray((signed << 1) ^ (signed >> (8 * difference.dtype.itemsize - 1))).view(difference.dtype)


def _zagzig(folded: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    one = folded.dtype.type(1)
    negative = (folded & one).view(f"<i{folded.dtype.itemsize}")
    return np.asarray((folded >> one).view(negative.dtype) ^ -negative).view(folded.dtype)


def raw(new: Array) -> bytes:
    """Return `new` on its own."""
    return patch.make(b"", _planes(_bits(new)))


def from_raw(data: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    """Return what `raw` was given. Raises DeltaError."""
    kind, count = np.dtype(dtype), int(np.prod(shape, dtype=np.int64))
    return _merged(patch.apply(b"", data, count * kind.itemsize), kind, count).reshape(shape)


def planes(old: Array, new: Array) -> bytes:
    """Return the difference of the bit patterns of two tensors of one shape."""
    return patch.make(b"", _planes(_zigzag(_minus(_bits(new), _bits(old)))))


def from_planes(data: bytes, old: Array) -> Array:
    """Return the tensor that `planes` was given as new. Raises DeltaError."""
    before = _bits(old)
    folded = _merged(patch.apply(b"", data, before.nbytes), before.dtype, len(before)).view(before.dtype)
    return np.asarray(np.add(before, _zagzig(folded))).view(old.dtype).reshape(old.shape)


def sparse(old: Array, new: Array) -> bytes | None:
    """Return positions and new values of what changed; None where too much did."""
    after = _bits(new)
    changed = np.flatnonzero(_bits(old) != after)
    if len(changed) > SPARSE_SHARE * len(after) or len(after) >= 1 << 32:
        return None
    gaps = np.diff(changed, prepend=0).astype("<u4")
    return patch.make(b"", _planes(gaps) + _planes(after[changed]))


def from_sparse(data: bytes, old: Array) -> Array:
    """Return the tensor that `sparse` was given as new. Raises DeltaError."""
    values = _bits(old).copy()
    packed = patch.apply(b"", data, limit=len(values) * (4 + values.itemsize))
    count, rest = divmod(len(packed), 4 + values.itemsize)
    positions = np.cumsum(_merged(packed[: 4 * count], np.dtype("<u4"), count).astype(np.int64))
    if rest or (count and (int(positions[-1]) >= len(values) or (np.diff(positions) <= 0).any())):
        raise DeltaError("changed values are not at places that the tensor has")
    values[positions] = _merged(packed[4 * count :], values.dtype, count)
    return values.view(old.dtype).reshape(old.shape)
