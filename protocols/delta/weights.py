"""Where the weights of a model file lie: the byte ranges of its initializers, without the onnx package.

    ModelProto.graph (7) -> GraphProto.initializer (5) -> TensorProto: dims 1, data_type 2, name 8, raw_data 9

A walk over the protobuf wire format (https://protobuf.dev/programming-guides/encoding) with the field numbers of
onnx.proto; values are stepped over. A file that is not such a model simply has no weights here: it is carried as bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DTYPES: Final = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8",
}  # fmt: skip
"""NumPy's names of the element types of onnx.proto."""
MAX_TENSORS: Final = 20_000
"""Weights of one model; the largest detector that fits a node has a few hundred."""
MAX_RANK: Final = 8

Array = NDArray[np.generic]
_GRAPH, _INITIALIZER, _DIMS, _TYPE, _NAME, _RAW = 7, 5, 1, 2, 8, 9
_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5


class _WireError(ValueError):
    """The bytes are not what the wire format allows."""


@dataclass(frozen=True)
class Weight:
    """A tensor in a file: its values are `size` bytes from `start`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int

    def read(self, data: bytes) -> Array:
        """Return the values, in the file's own memory."""
        kind = np.dtype(self.dtype)
        return np.frombuffer(data, kind, self.size // kind.itemsize, self.start).reshape(self.shape)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift <= 63:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _WireError


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, value (of a varint, else 0), start and end of each field."""
    while at < end:
        key, at = _varint(data, at, end)
        number, kind, value = key >> 3, key & 7, 0
        if kind == _VARINT:
            value, at = _varint(data, at, end)
            yield number, value, at, at
            continue
        if kind == _BYTES:
            length, at = _varint(data, at, end)
        elif kind in (_I64, _I32):
            length = 8 if kind == _I64 else 4
        else:
            raise _WireError
        if length > end - at:
            raise _WireError
        yield number, 0, at, at + length
        at += length


def _dims(data: bytes, value: int, start: int, end: int) -> list[int]:
    if start == end:
        return [value]
    found = []
    while start < end:
        value, start = _varint(data, start, end)
        found.append(value)
    return found


def _weight(data: bytes, start: int, end: int) -> Weight | None:
    """Return the tensor between `start` and `end`; None where its values are not there in one plain piece."""
    dims: list[int] = []
    name, dtype, raw = "", "", (0, 0)
    for number, value, low, high in _fields(data, start, end):
        if number == _DIMS:
            dims += _dims(data, value, low, high)
        elif number == _TYPE:
            dtype = DTYPES.get(value, "")
        elif number == _NAME:
            name = data[low:high].decode("utf-8", "strict")
        elif number == _RAW:
            raw = (low, high)
    size = raw[1] - raw[0]
    if not dtype or not size or len(dims) > MAX_RANK or math.prod(dims) * np.dtype(dtype).itemsize != size:
        return None
    return Weight(name, dtype, tuple(dims), raw[0], size)


def find(data: bytes) -> list[Weight]:
    """Return the weights in the model `data`, in the order of the file; none where it is no model that we can read."""
    found: dict[str, Weight] = {}
    try:
        for number, _, start, end in _fields(data, 0, len(data)):
            if number != _GRAPH:
                continue
            for inner, _, low, high in _fields(data, start, end):
                weight = _weight(data, low, high) if inner == _INITIALIZER else None
                if weight is not None and weight.name not in found and len(found) < MAX_TENSORS:
                    found[weight.name] = weight
    except (_WireError, UnicodeDecodeError):
        return []
    return list(found.values())
