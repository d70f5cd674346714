"""Somebody else's ONNX file becoming a pack, or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edge.runtime import RuntimeFault, parity
from edge.runtime.model import Model
from export import foreign
from export.foreign import ForeignError
from protocols import pack

Write = Callable[..., Path]
LABELS = ["person", "bicycle", "car"]


def test_import__runs_and_proves_itself(onnx_file: Write, tmp_path: Path) -> None:
    made = foreign.import_onnx(onnx_file(), "fastestdet", LABELS, {"bicycle": "two_wheeler"}, None, tmp_path / "p")
    assert made.manifest.family == "fastestdet"
    assert made.manifest.opset == 13
    assert made.manifest.nms_iou == 0.45
    assert (made.manifest.input.name, made.manifest.input.height, made.manifest.input.width) == ("input.1", 64, 64)
    with Model(made, "cpu") as model:
        assert model.labels == ("two_wheeler",)
        assert parity.check(model).ok


def test_import__is_repeatable(onnx_file: Write, tmp_path: Path) -> None:
    first = foreign.import_onnx(onnx_file(), "fastestdet", LABELS, {}, None, tmp_path / "a")
    second = foreign.import_onnx(onnx_file(), "fastestdet", LABELS, {}, None, tmp_path / "b")
    assert first.address == second.address


def test_import__keeps_the_bytes(onnx_file: Write, tmp_path: Path) -> None:
    made = foreign.import_onnx(onnx_file(), "fastestdet", LABELS, {}, None, tmp_path / "a")
    assert made.path(pack.MODEL).read_bytes() == onnx_file().read_bytes()


def test_import__size_of_a_graph_that_has_none(onnx_file: Write, tmp_path: Path) -> None:
    made = foreign.import_onnx(onnx_file(side="n"), "fastestdet", LABELS, {}, (96, 64), tmp_path / "a")
    assert (made.manifest.input.height, made.manifest.input.width) == (96, 64)


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.FLOAT, [1, 2]))
    model.graph.node.append(helper.make_node("Identity", ["size"], ["unused"]))


def grey(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1


def double(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def unconnected(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nothing"


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.evil"


@pytest.mark.parametrize(
    ("change", "labels", "size", "side", "message"),
    [
        (second_input, LABELS, None, 64, "it has 2 inputs"),
        (grey, LABELS, None, 64, r"an image input is \[1, 3, H, W\]"),
        (double, LABELS, None, 64, "neither float32 nor uint8"),
        (unconnected, LABELS, None, 64, "not a valid ONNX model"),
        (custom, LABELS, None, 64, "custom operator com.evil::Relu"),
        (lambda m: None, ["one"], None, 64, "fastestdet: output"),
        (lambda m: None, LABELS, (32, 32), 64, "fixed at 64x64"),
        (lambda m: None, LABELS, None, "n", "no fixed size; give --input"),
        (lambda m: None, LABELS, (8, 8), "n", "cannot be used"),
        (lambda m: None, [], None, 64, "labels"),
    ],
)
def test_import__refuses(
    change: Callable[[onnx.ModelProto], None],
    labels: list[str],
    size: tuple[int, int] | None,
    side: int | str,
    message: str,
    onnx_file: Write,
    tmp_path: Path,
) -> None:
    with pytest.raises((ForeignError, RuntimeFault, pack.PackError), match=message):
        foreign.import_onnx(onnx_file(change, side), "fastestdet", labels, {}, size, tmp_path / "p")


def test_labels__coco_list_and_file(tmp_path: Path) -> None:
    assert len(set(foreign.read_labels("coco"))) == 80
    assert foreign.read_labels("car, bus,") == ["car", "bus"]
    file = tmp_path / "names.txt"
    file.write_text("car\n\n traffic light \n")
    assert foreign.read_labels(str(file)) == ["car", "traffic light"]


def test_labels__not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match="no such file"):
        foreign.read_labels("names.txt.missing")
    file = tmp_path / "names.bin"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ForeignError, match="not a text file"):
        foreign.read_labels(str(file))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [(["car"], "theirs=ours"), (["=x"], "theirs=ours"), (["tram=bus"], "no label 'tram'")],
)
def test_map__refuses(pairs: list[str], message: str) -> None:
    with pytest.raises(ForeignError, match=message):
        foreign.read_map(pairs, LABELS)


@pytest.mark.parametrize("text", ["320", "axb", "-3x4", "320x"])
def test_size__refuses(text: str) -> None:
    with pytest.raises(ForeignError, match="HEIGHTxWIDTH"):
        foreign.read_size(text)
