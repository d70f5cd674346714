"""The first layer of an 8-bit graph on CPUs: let it read the image itself, in blocks.

    image uint8 -> Cast -> (x - offset) * factor -> Conv k x k, stride s        as trained
    image uint8 -> SpaceToDepth s -> Dequantise(factor, offset) -> Conv, stride 1     the same numbers

Scaling pixels and quantising them again would cost as much as a layer, and a convolution with a stride over three
channels gathers its operands three bytes at a time: in blocks the first layer takes two thirds of the time.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.qdq import attribute, constants, consumers, ordered

STEP_TOLERANCE = 0.02
"""Relative difference between the quantiser's step and the graph's factor that is still taken for none."""


@dataclass(frozen=True)
class Start:
    """How a graph starts: ``(float(tensor) - offset) * factor`` is `result`; `image` the graph's uint8 input."""

    image: str
    tensor: str
    result: str
    offset: float
    factor: float


def start(graph: onnx.GraphProto) -> Start | None:
    """Return how `graph` starts, or None where it does not start with one offset and factor for all channels."""
    values, users = constants(graph), consumers(graph)
    image = next((v.name for v in graph.input if v.type.tensor_type.elem_type == onnx.TensorProto.UINT8), "")
    at = image
    first = users.get(at, [])
    if len(first) == 1 and first[0].op_type == "SpaceToDepth":
        at = first[0].output[0]
        first = users.get(at, [])
    if len(first) != 1 or first[0].op_type != "Cast":
        return None
    tensor, at, offset, factor = at, first[0].output[0], 0.0, 1.0
    while len(after := users.get(at, [])) == 1 and after[0].op_type in ("Sub", "Add", "Mul", "Div"):
        node = after[0]
        value = values.get(node.input[1])
        if node.input[0] != at or value is None or value.size != 1:
            return None
        number = float(value.reshape(-1)[0])
        if node.op_type in ("Sub", "Add"):
            offset += (number if node.op_type == "Sub" else -number) / factor
        else:
            factor *= number if node.op_type == "Mul" else 1 / number
        at = node.output[0]
    return Start(image, tensor, at, offset, factor)


def _block_weight(weight: np.ndarray, stride: int, pad: int) -> tuple[np.ndarray, int, int]:
    """Return the weight ``[O, s s I, b, b]`` over blocks for ``[O, I, k, k]``, and the padding at each end, blocks."""
    outputs, inputs, side, _ = weight.shape
    before = math.ceil(pad / stride)
    after = (side - 1 - pad) // stride
    spread = np.zeros((outputs, inputs, (before + after + 1) * stride, (before + after + 1) * stride), weight.dtype)
    shift = before * stride - pad
    spread[:, :, shift : shift + side, shift : shift + side] = weight
    blocks = before + after + 1
    parts = spread.reshape(outputs, inputs, blocks, stride, blocks, stride).transpose(0, 3, 5, 1, 2, 4)
    return np.ascontiguousarray(parts.reshape(outputs, stride * stride * inputs, blocks, blocks)), before, after


def _stem(graph: onnx.GraphProto, begin: Start) -> tuple[onnx.NodeProto, int, int] | None:
    users = consumers(graph).get(begin.result, [])
    if len(users) != 1 or users[0].op_type != "Conv" or begin.tensor != begin.image:
        return None
    stem = users[0]
    strides, pads = attribute(stem, "strides", [1, 1]), attribute(stem, "pads", [0, 0, 0, 0])
    side = constants(graph)[stem.input[1]].shape[2:]
    shape = next(v for v in graph.input if v.name == begin.image).type.tensor_type.shape
    sizes = [dim.dim_value for dim in shape.dim][2:]
    plain = attribute(stem, "group", 1) == 1 and set(attribute(stem, "dilations", [1, 1])) == {1}
    if not plain or len({*strides}) != 1 or len({*pads}) != 1 or len({*side}) != 1:
        return None
    stride, pad = int(strides[0]), int(pads[0])
    fits = all(
        size and size % stride == 0 and (size + 2 * pad - side[0]) // stride + 1 == size // stride for size in sizes
    )
    return (stem, stride, pad) if stride > 1 and fits else None


def in_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with its first convolution over blocks of pixels, where it has a stride; else unchanged.

    Outputs are the same up to the order of additions; tensor names are kept.
    """
    begin = start(model.graph)
    found = None if begin is None else _stem(model.graph, begin)
    if begin is None or found is None:
        return model
    made = copy.deepcopy(model)
    name, (_, stride, pad) = found[0].name, found
    stem = next(node for node in made.graph.node if node.name == name)
    weight, before, after = _block_weight(np.asarray(constants(made.graph)[stem.input[1]]), stride, pad)
    made.graph.initializer.append(numpy_helper.from_array(weight, f"{stem.input[1]}_blocks"))
    stem.input[1] = f"{stem.input[1]}_blocks"
    del stem.attribute[:]
    pads, kernel = [before, before, after, after], list(weight.shape[2:])
    stem.attribute.extend([helper.make_attribute("pads", pads), helper.make_attribute("kernel_shape", kernel)])
    cast = next(node for node in made.graph.node if begin.image in node.input)
    cast.input[0] = "image_blocks"
    node = helper.make_node("SpaceToDepth", [begin.image], ["image_blocks"], name="image_blocks", blocksize=stride)
    made.graph.node.insert(0, node)
    del made.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(ordered(made))


def feed_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the first quantised layer of `model` read the pixels, in place, where that is what its input amounts to."""
    begin = start(model.graph)
    users = [] if begin is None else consumers(model.graph).get(begin.result, [])
    if begin is None or len(users) != 1 or users[0].op_type != "QuantizeLinear":
        return model
    values, zero = constants(model.graph), round(begin.offset)
    step, at = float(values[users[0].input[1]]), int(values[users[0].input[2]])
    near = abs(step - begin.factor) <= STEP_TOLERANCE * begin.factor and abs(at - zero) <= 255 * STEP_TOLERANCE
    if abs(zero - begin.offset) > 1e-3 or not 0 <= zero <= 255 or not near:
        return model
    for node in consumers(model.graph)[users[0].output[0]]:
        node.input[0], node.input[1], node.input[2] = begin.tensor, "pixel_step", "pixel_zero"
    step_value = numpy_helper.from_array(np.array(begin.factor, np.float32), "pixel_step")
    zero_value = numpy_helper.from_array(np.array(zero, np.uint8), "pixel_zero")
    model.graph.initializer.extend([step_value, zero_value])
    return ordered(model)
