"""A small foreign network in the manner of FastestDet, made without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
CLASSES = 3


def network(side: int | str = SIDE, seed: int = 1) -> onnx.ModelProto:
    """Two convolutions from [1, 3, side, side] to a [1, 5 + CLASSES, side / 16, side / 16] grid of values in 0..1."""
    random = np.random.default_rng(seed)
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, (8, 3, 4, 4)).astype(np.float32), "w0"),
        numpy_helper.from_array(random.normal(0, 0.3, (5 + CLASSES, 8, 4, 4)).astype(np.float32), "w1"),
        numpy_helper.from_array(random.normal(0, 1, 5 + CLASSES).astype(np.float32), "b1"),
    ]
    nodes = [
        helper.make_node("Conv", ["input.1", "w0"], ["a"], strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1", "b1"], ["c"], strides=[4, 4]),
        helper.make_node("Sigmoid", ["c"], ["758"]),
    ]
    grid = side // 16 if isinstance(side, int) else "g"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("758", TensorProto.FLOAT, [1, 5 + CLASSES, grid, grid])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the network, changed by a function, and returns its file."""

    def write(change: Callable[[onnx.ModelProto], None] = lambda model: None, side: int | str = SIDE) -> Path:
        model = network(side)
        change(model)
        path = tmp_path / "small.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write
