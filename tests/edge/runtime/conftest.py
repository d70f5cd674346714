"""A tiny pack of our own family, whose outputs are known, made without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from protocols import pack
from protocols.pack import Input, Manifest, Pack

HEIGHT, WIDTH = 64, 96
BOXES = [[8, 8, 40, 40], [9, 8, 40, 40], [50, 10, 90, 60], [0, 0, 4, 4]]
SCORES = [[0.9, 0.1], [0.8, 0.1], [0.2, 0.7], [0.05, 0.01]]
SPREAD = [[1, 2, 3, 4], [1, 1, 1, 1], [2, 2, 2, 2], [9, 9, 9, 9]]


def blur_map() -> np.ndarray:
    """A blur map that grows from cell to cell."""
    return np.arange(HEIGHT // 8 * WIDTH // 8, dtype=np.float32).reshape(1, 1, HEIGHT // 8, WIDTH // 8) / 100


def model_bytes(outputs: dict[str, np.ndarray], input_type: int = TensorProto.UINT8) -> bytes:
    """A graph that gives `outputs` whatever it is fed with, and the mean of what it is fed with as ``mean``."""
    image = helper.make_tensor_value_info("image", input_type, [1, 3, HEIGHT, WIDTH])
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    weights = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    shown = [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [])]
    for name, value in outputs.items():
        array = np.asarray(value, np.float32)
        weights.append(numpy_helper.from_array(array, f"{name}_value"))
        nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
        shown.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    graph = helper.make_graph(nodes, "tiny", [image], shown, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def everything() -> dict[str, np.ndarray]:
    """All six outputs."""
    return {
        "boxes": np.array(BOXES, np.float32),
        "scores": np.array(SCORES, np.float32),
        "spread": np.array(SPREAD, np.float32),
        "blur": blur_map(),
        "embedding": np.array([[0.6, 0.8]], np.float32),
        "tags": np.array([[0.25]], np.float32),
    }


def manifest(**changes: object) -> Manifest:
    """The manifest of the tiny pack."""
    values: dict[str, object] = {
        "name": "tiny",
        "labels": ["car", "bus"],
        "input": Input(height=HEIGHT, width=WIDTH),
        "score_threshold": 0.3,
    }
    return Manifest(**(values | changes))  # type: ignore[arg-type]


Make = Callable[..., Pack]


@pytest.fixture
def make_pack(tmp_path: Path) -> Make:
    """A function that writes a tiny pack: its outputs, further files and changes of the manifest."""

    def make(
        outputs: dict[str, np.ndarray] | None = None, extra: dict[str, bytes] | None = None, **changes: object
    ) -> Pack:
        contents = {pack.MODEL: model_bytes(everything() if outputs is None else outputs), **(extra or {})}
        return pack.create(tmp_path / "tiny", manifest(**changes), contents)

    return make


@pytest.fixture
def tiny_model() -> onnx.ModelProto:
    """The tiny network as a protobuf, to be spoiled."""
    return onnx.load_model_from_string(model_bytes(everything()))


@pytest.fixture
def outputs() -> dict[str, np.ndarray]:
    """What the tiny network gives, by output."""
    return everything()
