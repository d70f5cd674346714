"""Half precision: the heavy part of a graph in 16-bit floats, inputs, outputs and post-processing in 32.

Written into the graph itself, casts and all, since TensorRT's strongly typed networks take precision from there.
"""

from __future__ import annotations

import copy

import onnx
from onnx import TensorProto, helper, numpy_helper

from export.qdq import before_heavy, last_heavy, ordered
from protocols.delta.model import HALVED
from protocols.delta.model import half as half_of


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    values = (*model.graph.value_info, *model.graph.output, *model.graph.input)
    found = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _inside(model: onnx.ModelProto, floats: set[str]) -> set[str]:
    """Return the names of the nodes that run in half precision: heavy ones and what lies between them."""
    graph = model.graph
    allowed = before_heavy(graph) | set(last_heavy(graph))
    found: set[str] = set()
    reached: set[str] = set()
    for node in graph.node:
        heavy = node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
        if node.name in allowed and (heavy or reached & set(node.input)) and set(node.output) <= floats:
            found.add(node.name)
            reached.update(node.output)
    return found


class _Halver:
    """Rewrites one graph; remembers which casts it has made."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = copy.deepcopy(model)
        self.floats = _float_tensors(model)
        self.inside = _inside(model, self.floats)
        self.weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.made: set[str] = set()
        self.casts: list[onnx.NodeProto] = []

    def half(self, name: str) -> str:
        """Return the name of the 16-bit form of the weight or activation `name`."""
        short = f"{name}{HALVED}"
        if short in self.made:
            return short
        self.made.add(short)
        if name in self.weights:
            values = half_of(numpy_helper.to_array(self.weights[name]))  # as a node makes it of an update
            self.model.graph.initializer.append(numpy_helper.from_array(values, short))
        else:
            self.casts.append(helper.make_node("Cast", [name], [short], name=f"{short}_cast", to=TensorProto.FLOAT16))
        return short

    def run(self) -> onnx.ModelProto:
        """Rewrite every node inside; the scales of a Resize stay as they are, as its definition wants them."""
        graph = self.model.graph
        halves = {name for node in graph.node if node.name in self.inside for name in node.output}
        for node in graph.node:
            within = node.name in self.inside
            for index, name in enumerate(node.input):
                if within and name in self.floats and not (node.op_type == "Resize" and index):
                    node.input[index] = f"{name}{HALVED}" if name in halves else self.half(name)
            if within:
                for index, name in enumerate(node.output):
                    node.output[index] = f"{name}{HALVED}"
        back = [
            helper.make_node("Cast", [f"{name}{HALVED}"], [name], name=f"{name}_full", to=TensorProto.FLOAT)
            for name in sorted(halves)
        ]
        graph.node.extend([*self.casts, *back])
        del graph.value_info[:]
        return ordered(self.model)


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the folded `model` with its heavy part in half precision, inputs and outputs as they were."""
    made = _Halver(model).run()
    onnx.checker.check_model(made)
    return made
