"""Quantising one graph: fold, choose what may be quantised, put it between quantise and dequantise pairs.

Every function takes and returns a graph; nothing here knows packs, frames or files.
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge.runtime.session import options
from export.ranges import Ranges

QUANTISED: Final = ("Conv", "Relu", "Add", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool")
"""Operators with fast 8-bit kernels on CPUs. An operator that is not here stays in float; Resize is not here, and an
Add that reads one follows it: enlarging 8-bit pixels with channels last takes six times what floats take."""
HEAVY: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
MIN_OPSET: Final = 13
"""The first that knows quantisation per channel."""

MAX_BIAS: Final = float(2**31 - 1)
"""Steps that a quantised bias may have."""

Arrays = dict[str, NDArray[np.generic]]


def constants(graph: onnx.GraphProto) -> Arrays:
    """Return every initializer of `graph` by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each tensor."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of an attribute of `node`, or `default`."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _raised(data: bytes) -> bytes:
    model = onnx.load_model_from_string(data)
    have = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if have >= MIN_OPSET:
        return data
    return bytes(onnx.version_converter.convert_version(model, MIN_OPSET).SerializeToString())


def fold(data: bytes) -> onnx.ModelProto:
    """Return the model with batch norms and constants folded, every node named, shapes inferred."""
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        path = Path(scratch) / "folded.onnx"
        settings = options(1)
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        settings.optimized_model_filepath = str(path)
        ort.InferenceSession(_raised(data), settings, providers=["CPUExecutionProvider"])
        model = onnx.load_model_from_string(path.read_bytes())
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return onnx.shape_inference.infer_shapes(model)


def before_heavy(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the nodes that a heavy operator depends on; the rest is heads' ends and post-processing."""
    users = consumers(graph)
    found: set[str] = set()
    for node in reversed(graph.node):
        after = [user for name in node.output for user in users.get(name, [])]
        if any(user.name in found or user.op_type in HEAVY for user in after):
            found.add(node.name)
    return found


def last_heavy(graph: onnx.GraphProto) -> list[str]:
    """Return the heavy operators that no other heavy one depends on: the final layers of the heads."""
    before = before_heavy(graph)
    return [node.name for node in graph.node if node.op_type in HEAVY and node.name not in before]


def candidates(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes that may be quantised: from the first convolution to the last ones."""
    inside = before_heavy(graph) | set(last_heavy(graph))
    weights = {tensor.name for tensor in graph.initializer}
    enlarged = {name for node in graph.node if node.op_type == "Resize" for name in node.output}
    found: list[str] = []
    reached: set[str] = set()
    for node in graph.node:
        if (node.op_type == "Conv" and node.input[1] in weights) or reached & set(node.input):
            reached.update(node.output)
            follows = node.op_type == "Add" and enlarged & set(node.input)
            if node.op_type in QUANTISED and node.name in inside and not follows:
                found.append(node.name)
    return found


def quantise(model: onnx.ModelProto, ranges: Ranges, nodes: Collection[str], tensorrt: bool = False) -> onnx.ModelProto:
    """Return `model` with `nodes` between quantise and dequantise pairs.

    For CPUs: activations unsigned with zero points, weights signed per channel, bias in 32 bits. For TensorRT: all
    signed and symmetric, bias in float. `ranges` must cover every tensor around `nodes`.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType  # a slow import that most commands can spare
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    pairs = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    copied = copy.deepcopy(model)
    if not tensorrt:
        silence_dead(copied.graph, ranges)
    quantizer = QDQQuantizer(
        copied,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if tensorrt else QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, pairs),
        nodes_to_quantize=sorted(nodes),
        nodes_to_exclude=[],
        op_types_to_quantize=list(QUANTISED),
        extra_options={"ActivationSymmetric": tensorrt, "WeightSymmetric": True, "QuantizeBias": not tensorrt},
    )
    with _quiet():
        made: onnx.ModelProto = quantizer.quantize_model()
    return ordered(made)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the quantiser tells the root logger about its own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def silence_dead(graph: onnx.GraphProto, ranges: Ranges) -> None:
    """Zero, in place, the weights of channels whose bias would not fit 32 bits in steps of weight and input.

    A bias of 2^31 steps is beyond what the weights can add (K inputs add 255 * 127 * K steps at most): the channel is
    constant but for a hundredth, and a bias that was cut off would change that constant.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Conv" or len(node.input) < 3 or node.input[0] not in ranges:
            continue
        weight, bias = tensors.get(node.input[1]), tensors.get(node.input[2])
        if weight is None or bias is None:
            continue
        values = numpy_helper.to_array(weight).copy()
        low, high = ranges[node.input[0]]
        step = (high - low) / 255 * np.abs(values).reshape(len(values), -1).max(axis=1) / 127
        dead = np.abs(numpy_helper.to_array(bias)) > MAX_BIAS * step
        if dead.any():
            values[dead] = 0
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def ordered(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the nodes of `model` in an order in which each comes after those it reads, drop those that no output needs
    and the weights that nothing reads, in place, and return it."""
    producer = {name: node for node in model.graph.node for name in node.output}
    done: set[int] = set()
    sequence: list[onnx.NodeProto] = []
    waiting = [producer[output.name] for output in reversed(model.graph.output) if output.name in producer]
    while waiting:
        node = waiting[-1]
        before = [producer[n] for n in node.input if n in producer and id(producer[n]) not in done]
        if before:
            waiting.extend(before)
            continue
        waiting.pop()
        if id(node) not in done:
            done.add(id(node))
            sequence.append(node)
    copies = [copy.deepcopy(node) for node in sequence]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    read = {name for node in copies for name in node.input} | {output.name for output in model.graph.output}
    weights = [copy.deepcopy(tensor) for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return model
