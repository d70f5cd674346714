"""What is refused before ONNX Runtime sees it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edge.runtime import RuntimeFault, modelfile


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_without_location(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].external_data.add(key="location", value="weights.bin")


def external_in_attribute(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def custom(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Evil", ["mean"], ["x"], name="n7", domain="com.evil"))


def custom_in_branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Evil", [], ["y"], domain="com.evil")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["mean"], ["z"], then_branch=inner, else_branch=inner))


def functions(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="own")


def nested(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([helper.make_node("Identity", ["mean"], ["i"])], "g", [], [])
    for _ in range(modelfile.MAX_DEPTH + 2):
        node = helper.make_node(
            "If", ["mean"], ["z"], then_branch=graph, else_branch=helper.make_graph([], "e", [], [])
        )
        graph = helper.make_graph([node], "g", [], [])
    model.graph.node.extend(graph.node)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (external, "in another file"),
        (external_without_location, "in another file"),
        (external_in_attribute, "'hidden' keeps its data in another file"),
        (custom, "'n7' uses the custom operator com.evil::Evil"),
        (custom_in_branch, "com.evil::Evil"),
        (functions, "functions of its own"),
        (nested, "nested more than"),
        (lambda model: model.ClearField("graph"), "no graph"),
    ],
)
def test_verify__refuses(spoil: Callable[[onnx.ModelProto], None], message: str, tiny_model: onnx.ModelProto) -> None:
    spoil(tiny_model)
    with pytest.raises(RuntimeFault, match=message) as caught:
        modelfile.verify(tiny_model.SerializeToString(), "bad.onnx")
    assert str(caught.value).startswith("bad.onnx: ")


def test_verify__accepts_a_whole_model(tiny_model: onnx.ModelProto) -> None:
    modelfile.verify(tiny_model.SerializeToString(), "good.onnx")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "zip archive"),
        (pickle.dumps([1, 2]), "pickle"),
        (b"not a model at all", "not a whole ONNX model"),
        (b"\xff" * 40, "not a whole ONNX model"),
        (b"\x08\x08", "no graph"),
    ],
)
def test_verify__names_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(RuntimeFault, match=message):
        modelfile.verify(data, "x.onnx")


def test_verify__every_truncation_is_refused(tiny_model: onnx.ModelProto) -> None:
    data = tiny_model.SerializeToString()
    graph_end = len(data) - len(data) // 10
    for end in range(1, graph_end, 37):
        with pytest.raises(RuntimeFault):
            modelfile.verify(data[:end], "cut.onnx")


def test_read__too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.onnx"
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(modelfile, "MAX_MODEL", 99)
    with pytest.raises(RuntimeFault, match=r"big\.onnx: 100 bytes, more than the 99"):
        modelfile.read(path)


def test_read__missing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault, match="No such file"):
        modelfile.read(tmp_path / "nothing.onnx")
