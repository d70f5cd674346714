"""Counting what a network holds and does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.runtime import RuntimeFault
from export import foreign, inspect


def single(operator: str, given: list[int], weight: list[int], result: list[int], **attributes: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.zeros(weight, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(
    ("model", "macs", "parameters"),
    [
        (single("Conv", [1, 3, 8, 8], [4, 3, 3, 3], [1, 4, 6, 6]), 36 * 4 * 27, 108),
        (single("Conv", [1, 4, 8, 8], [4, 1, 3, 3], [1, 4, 6, 6], group=4), 36 * 4 * 9, 36),
        (single("ConvTranspose", [1, 2, 4, 4], [2, 5, 2, 2], [1, 5, 8, 8], strides=[2, 2]), 16 * 2 * 5 * 4, 40),
        (single("Gemm", [2, 7], [7, 3], [2, 3]), 2 * 7 * 3, 21),
        (single("MatMul", [5, 2, 7], [7, 3], [5, 2, 3]), 5 * 2 * 7 * 3, 21),
        (single("Add", [1, 3], [1, 3], [1, 3]), 0, 3),
    ],
)
def test_macs__by_hand(model: onnx.ModelProto, macs: int, parameters: int) -> None:
    assert inspect.macs(model) == macs
    assert inspect.parameters(model) == parameters


def test_macs__unknown_shape() -> None:
    model = single("Conv", [1, 3, 8, 8], [4, 3, 3, 3], [1, 4, 6, 6])
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[2].dim_param = "h"
    assert inspect.macs(model) is None


def test_inspect__pack(onnx_file: Callable[..., Path], tmp_path: Path) -> None:
    made = foreign.import_onnx(onnx_file(), "fastestdet", ["a", "b", "c"], {}, None, tmp_path / "p")
    inside = inspect.inspect(made)
    graph = inside.variants["fp32"]
    assert inside.address == made.address
    assert (graph.opset, graph.ir, graph.nodes) == (13, 8, 4)
    assert graph.operators == {"Conv": 2, "Relu": 1, "Sigmoid": 1}
    assert [tensor.shape for tensor in graph.outputs] == [[1, 8, 4, 4]]
    assert graph.macs == 16 * 16 * 8 * 48 + 4 * 4 * 8 * 128


def test_graph__refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(RuntimeFault, match="zip"):
        inspect.graph(path)
