"""Looking at a model file before anything parses it: is it ONNX, whole, self-contained and of standard operators?

    bytes -> size, magic -> ModelProto -> GraphProto -> NodeProto (domain) and TensorProto (external data)

A walker over the protobuf wire format (https://protobuf.dev/programming-guides/encoding) with the field numbers of
onnx.proto, so that a node needs neither the onnx package nor trust in the file. Weights are stepped over, not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.runtime import RuntimeFault

MAX_MODEL: Final = 256 * 1024 * 1024
"""Bytes of one model file; protobuf itself ends at 2 GB, and a Jetson-class node long before."""
MAX_DEPTH: Final = 16
"""Graphs within graphs (If, Loop); real detectors use two at most."""
MAX_NODES: Final = 100_000
"""Operators; the largest detector that fits a node has a few thousand."""
DOMAINS: Final = frozenset({"", "ai.onnx"})
"""Operator sets that every backend has."""

_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE, _GRAPH_INPUT, _GRAPH_OUTPUT = (
    1,
    5,
    15,
    11,
    12,
)
_NODE_NAME, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 3, 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)
_TENSOR_TYPE, _TENSOR_VALUES, _FLOATS = 2, (4, 9, 10), (1, 10, 11, 16)
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14

Field = tuple[int, int | memoryview]


class _WireError(ValueError):
    """The bytes are not what the wire format allows."""


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _WireError("it ends in the middle of a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_I64, _I32):
            length = 8 if kind == _I64 else 4
        else:
            raise _WireError(f"wire type {kind} is not used by ONNX")
        if number == 0 or at + length > len(data):
            raise _WireError(f"field {number} needs {length} bytes, {len(data) - at} are left")
        yield number, data[at : at + length]
        at += length


def _inner(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _WireError("a number where a message belongs")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_inner(value)[:200]).decode("utf-8", "replace")


def _tensor(data: memoryview) -> None:
    name, outside = "", False
    for number, value in _fields(data):
        if number == _TENSOR_NAME:
            name = _text(value)
        outside |= number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0)
    if outside:
        raise RuntimeFault(f"tensor {name!r} keeps its data in another file; save the model with all data inside")


class _Walk:
    """One pass over one model; counts operators."""

    def __init__(self) -> None:
        self.nodes = 0
        self.graphs = 0

    def model(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number == _MODEL_GRAPH:
                self.graphs += 1
                self.graph(_inner(value), 0)
            elif number in (_MODEL_TRAINING, _MODEL_FUNCTION):
                what = "training information" if number == _MODEL_TRAINING else "functions of its own"
                raise RuntimeFault(f"it holds {what}, which no backend needs; export it without")
        if self.graphs != 1:
            raise _WireError("it holds no graph" if not self.graphs else "it holds several graphs")

    def graph(self, data: memoryview, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise RuntimeFault(f"graphs are nested more than {MAX_DEPTH} deep")
        for number, value in _fields(data):
            if number == _GRAPH_NODE:
                self.node(_inner(value), depth)
            elif number == _GRAPH_TENSOR:
                _tensor(_inner(value))
            elif number == _GRAPH_SPARSE:
                self.sparse(_inner(value))

    def node(self, data: memoryview, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise RuntimeFault(f"it has more than {MAX_NODES} operators")
        name = operator = domain = ""
        for number, value in _fields(data):
            if number == _NODE_NAME:
                name = _text(value)
            elif number == _NODE_OP:
                operator = _text(value)
            elif number == _NODE_DOMAIN:
                domain = _text(value)
            elif number == _NODE_ATTRIBUTE:
                self.attribute(_inner(value), depth)
        if domain not in DOMAINS:
            raise RuntimeFault(
                f"node {name!r} uses the custom operator {domain}::{operator}; only standard ONNX ones are run"
            )

    def attribute(self, data: memoryview, depth: int) -> None:
        for number, value in _fields(data):
            if number in _ATTRIBUTE_TENSORS:
                _tensor(_inner(value))
            elif number in _ATTRIBUTE_GRAPHS:
                self.graph(_inner(value), depth + 1)
            elif number in _ATTRIBUTE_SPARSE:
                self.sparse(_inner(value))

    def sparse(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number in _SPARSE_TENSORS:
                _tensor(_inner(value))


def structure(data: bytes) -> str:
    """Return a hash (hex) of everything in a model but the values of its float weights.

    Two models with the same structure differ in weights only: an engine of one can be refitted with those of the other.
    Raises RuntimeFault where `data` is not a whole model.
    """
    digest = hashlib.sha256()
    try:
        for number, value in _fields(memoryview(data)):
            if number != _MODEL_GRAPH:
                continue
            for inner, part in _fields(_inner(value)):
                if inner in (_GRAPH_NODE, _GRAPH_INPUT, _GRAPH_OUTPUT):
                    digest.update(b"%d %d " % (inner, len(_inner(part))) + bytes(_inner(part)))
                elif inner == _GRAPH_TENSOR:
                    digest.update(_shape(_inner(part)))
    except _WireError as error:
        raise RuntimeFault(f"not a whole ONNX model ({error})") from None
    return digest.hexdigest()


def _shape(tensor: memoryview) -> bytes:
    """Return what identifies an initializer: all of it, without its values where they are floats."""
    fields = list(_fields(tensor))
    floats = any(number == _TENSOR_TYPE and value in _FLOATS for number, value in fields)
    kept = [(n, v if isinstance(v, int) else bytes(v)) for n, v in fields if not (floats and n in _TENSOR_VALUES)]
    return repr(kept).encode()


def _foreign(head: bytes) -> str:
    if head.startswith(b"PK"):
        return "a zip archive (a PyTorch checkpoint?)"
    if head.startswith(b"\x80"):
        return "a pickle"
    return "empty" if not head else ""


def verify(data: bytes, name: str) -> None:
    """Raise RuntimeFault where `data`, called `name`, is not a whole, self-contained model of standard operators."""
    what = _foreign(data[:4])
    if what:
        raise RuntimeFault(f"{name}: {what}, not an ONNX model; export the model to ONNX")
    if len(data) > MAX_MODEL:
        raise RuntimeFault(f"{name}: {len(data)} bytes, more than the {MAX_MODEL} that a model may have")
    try:
        _Walk().model(memoryview(data))
    except _WireError as error:
        raise RuntimeFault(f"{name}: not a whole ONNX model ({error}); get it again") from None
    except RuntimeFault as fault:
        raise RuntimeFault(f"{name}: {fault}") from None


def read(path: Path) -> bytes:
    """Return the verified bytes of the model at `path`. Size is checked before reading. Raises RuntimeFault."""
    try:
        size = path.stat().st_size
        if size > MAX_MODEL:
            raise RuntimeFault(f"{path}: {size} bytes, more than the {MAX_MODEL} that a model may have")
        data = path.read_bytes()
    except OSError as error:
        raise RuntimeFault(f"{path}: not readable ({error.strerror})") from None
    verify(data, str(path))
    return data
