"""What is inside a pack: operators, parameters, multiplications, sizes, versions."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import onnx

from edge.runtime import RuntimeFault, in_one_line, modelfile
from protocols.pack import Pack

_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}
)
_WEIGHTS = _FLOATS | {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}


class Tensor(msgspec.Struct, frozen=True):
    """An input or output of a graph; a side that is not fixed is 0."""

    name: str
    dtype: str
    shape: list[int]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of a pack. `macs`: multiplications of one pass; None where a shape is not known."""

    file: str
    bytes: int
    opset: int
    ir: int
    producer: str
    nodes: int
    operators: dict[str, int]
    parameters: int
    macs: int | None
    inputs: list[Tensor]
    outputs: list[Tensor]


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """A pack, looked through."""

    address: str
    bytes: int
    manifest: dict[str, Any]
    variants: dict[str, Graph]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    return Tensor(
        value.name, onnx.TensorProto.DataType.Name(kind.elem_type).lower(), [d.dim_value for d in kind.shape.dim]
    )


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return shapes


def _node_macs(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int | None:
    weight = shapes.get(node.input[1]) if len(node.input) > 1 else None
    first, result = shapes.get(node.input[0]), shapes.get(node.output[0])
    if weight is None or first is None or result is None or 0 in (*first, *result):
        return None
    if node.op_type == "Conv":
        return math.prod(result) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(weight[1:])
    if node.op_type == "Gemm":
        side = next((a.i for a in node.attribute if a.name == "transA"), 0)
        return math.prod(result) * first[0 if side else 1]
    return math.prod(result) * first[-1]


def macs(model: onnx.ModelProto) -> int | None:
    """Return the multiplications of convolutions and matrix products in one pass; None where a shape is not known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = _shapes(graph)
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            count = _node_macs(node, shapes)
            if count is None:
                return None
            total += count
    return total


def parameters(model: onnx.ModelProto) -> int:
    """Return how many numbers the model learned: elements of weights of two dimensions or more, and their biases."""
    return sum(math.prod(t.dims) for t in model.graph.initializer if t.data_type in _WEIGHTS and t.dims)


def graph(path: Path) -> Graph:
    """Return what is inside the model at `path`. Raises RuntimeFault where it is refused."""
    data = modelfile.read(path)
    try:
        model = onnx.load_model_from_string(data)
        count = macs(model)
    except (ValueError, onnx.shape_inference.InferenceError) as error:
        raise RuntimeFault(f"{path}: not a valid ONNX model ({in_one_line(error)})") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    return Graph(
        file=path.name,
        bytes=len(data),
        opset=opset,
        ir=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        nodes=len(model.graph.node),
        operators=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        parameters=parameters(model),
        macs=count,
        inputs=[_tensor(value) for value in model.graph.input if value.name not in weights],
        outputs=[_tensor(value) for value in model.graph.output],
    )


def inspect(pack: Pack) -> Inside:
    """Return what is inside `pack`. Raises RuntimeFault where a model of it is refused."""
    return Inside(
        address=pack.address,
        bytes=sum(entry.size for entry in pack.manifest.files.values()),
        manifest=msgspec.to_builtins(pack.manifest),
        variants={precision: graph(pack.variant(precision)) for precision in pack.manifest.variants},
    )
