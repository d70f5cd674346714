"""8 bits and 16 bits: the same numbers up to rounding, in a graph of the agreed form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.runtime import parity
from edge.runtime.model import Model
from export import foreign, half, pixels, qdq, quantize, ranges
from export.quantize import QuantiseError
from protocols.pack import Pack

SIDE = 32


def network(kernel: int = 7, stride: int = 4, pad: int = 3, offset: float = 114.0, uint8: bool = True) -> bytes:
    """Pixels, offset and factor, a strided convolution, a residual, two final layers, some post-processing."""
    random = np.random.default_rng(3)
    weights = {
        "offset": np.array(offset, np.float32),
        "factor": np.array(1 / 64, np.float32),
        "w0": random.normal(0, 0.1, (8, 3, kernel, kernel)).astype(np.float32),
        "b0": random.normal(0, 0.1, 8).astype(np.float32),
        "w1": random.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32),
        "gamma": random.uniform(0.5, 1, 8).astype(np.float32),
        "beta": random.normal(0, 0.1, 8).astype(np.float32),
        "mean": random.normal(0, 0.1, 8).astype(np.float32),
        "variance": random.uniform(0.5, 1, 8).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "w2": random.normal(0, 0.2, (4, 8, 1, 1)).astype(np.float32),
        "w3": random.normal(0, 0.2, (2, 8, 1, 1)).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        node("Sub", ["pixels", "offset"], ["centred"]),
        node("Mul", ["centred", "factor"], ["scaled"]),
        node("Conv", ["scaled", "w0", "b0"], ["c0"], strides=[stride, stride], pads=[pad] * 4),
        node("Relu", ["c0"], ["r0"]),
        node("Conv", ["r0", "w1"], ["c1"], pads=[1] * 4),
        node("BatchNormalization", ["c1", "gamma", "beta", "mean", "variance"], ["n1"]),
        node("Add", ["r0", "n1"], ["s1"]),
        node("Resize", ["s1", "", "scales"], ["u1"], mode="nearest"),
        node("Conv", ["u1", "w2"], ["boxes_raw"]),
        node("Conv", ["s1", "w3"], ["scores_raw"]),
        node("Softmax", ["boxes_raw"], ["boxes"], axis=1),
        node("Sigmoid", ["scores_raw"], ["scores"]),
    ]
    image = helper.make_tensor_value_info(
        "image", TensorProto.UINT8 if uint8 else TensorProto.FLOAT, [1, 3, SIDE, SIDE]
    )
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("boxes", "scores")]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "net", [image], outputs, tensors)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    )


def frames(count: int = 4) -> list[np.ndarray]:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 1, 3, SIDE // 4, SIDE // 4), np.uint8)
    return list(coarse.repeat(4, 3).repeat(4, 4))


def run(model: onnx.ModelProto | bytes, image: np.ndarray) -> list[np.ndarray]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    found: list[np.ndarray] = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"image": image})
    return found


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def test_fold__batch_norms_are_gone_and_numbers_stay() -> None:
    folded = qdq.fold(network())
    assert "BatchNormalization" not in operators(folded)
    for first, second in zip(run(network(), frames()[0]), run(folded, frames()[0]), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_candidates__between_first_and_last_convolution() -> None:
    graph = qdq.fold(network()).graph
    kinds = {node.name: node.op_type for node in graph.node}
    assert len(qdq.last_heavy(graph)) == 2
    assert Counter(kinds[name] for name in qdq.candidates(graph)) == {"Conv": 4, "Relu": 1, "Add": 1}


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "blocks"),
    [
        (7, 4, 3, True),
        (3, 2, 1, True),
        (4, 4, 0, True),
        (6, 2, 2, True),
        (5, 4, 1, True),
        (3, 1, 1, False),
        (7, 4, 0, False),
    ],
)
def test_in_blocks__same_numbers(kernel: int, stride: int, pad: int, blocks: bool) -> None:
    plain = qdq.fold(network(kernel, stride, pad))
    made = pixels.in_blocks(plain)
    assert ("SpaceToDepth" in operators(made)) == blocks
    for first, second in zip(run(plain, frames()[0]), run(made, frames()[0]), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("offset", [114.0, 0.0, 113.5])
def test_feed_pixels__reads_the_image_where_steps_fit(offset: float) -> None:
    """With a whole offset the pixels are the quantised tensor; a half grey level would be lost, so it is left alone."""
    plain = pixels.in_blocks(qdq.fold(network(offset=offset)))
    span = {"scaled": (-offset / 64, (255 - offset) / 64)}
    made = pixels.feed_pixels(qdq.quantise(plain, ranges.measure(plain, frames()) | span, qdq.candidates(plain.graph)))
    assert (operators(made)["Cast"] == 0) == (offset != 113.5)
    for first, second in zip(run(plain, frames()[0]), run(made, frames()[0]), strict=True):
        np.testing.assert_allclose(first, second, atol=0.05)


def test_feed_pixels__not_where_the_image_is_float() -> None:
    plain = qdq.fold(network(uint8=False))
    assert pixels.start(plain.graph) is None
    assert pixels.in_blocks(plain) is plain


def test_quantise__tensorrt_is_symmetric_without_quantised_bias() -> None:
    plain = qdq.fold(network())
    made = qdq.quantise(plain, ranges.measure(plain, frames()), qdq.candidates(plain.graph), tensorrt=True)
    values = qdq.constants(made.graph)
    for node in made.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert values[node.input[2]].dtype == np.int8
            assert not values[node.input[2]].any()
    assert not any(value.dtype == np.int32 for value in values.values())


def test_quantise__cpu_is_unsigned_with_weights_per_channel() -> None:
    plain = qdq.fold(network())
    made = qdq.quantise(plain, ranges.measure(plain, frames()), qdq.candidates(plain.graph))
    values = qdq.constants(made.graph)
    activations = [node for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert {values[node.input[2]].dtype for node in activations} == {np.dtype(np.uint8)}
    weights = [node for node in made.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in values]
    assert any(values[node.input[0]].dtype == np.int8 and values[node.input[1]].size == 8 for node in weights)


def test_silence__only_channels_that_are_constant_anyway() -> None:
    plain = qdq.fold(network())
    conv = next(node for node in plain.graph.node if node.op_type == "Conv")
    tensor = next(t for t in plain.graph.initializer if t.name == conv.input[1])
    weight = numpy_helper.to_array(tensor).copy()
    weight[2] = 1e-12
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    found = ranges.measure(plain, frames())
    made = qdq.quantise(plain, found, qdq.candidates(plain.graph))
    for first, second in zip(run(plain, frames()[0]), run(made, frames()[0]), strict=True):
        np.testing.assert_allclose(first, second, atol=0.05)
    qdq.silence_dead(plain.graph, found)
    silenced = qdq.constants(plain.graph)[conv.input[1]]
    assert not silenced[2].any()
    np.testing.assert_array_equal(np.delete(silenced, 2, 0), np.delete(weight, 2, 0))


def test_ranges__clip_leaves_outliers_out_and_zero_in() -> None:
    plain = qdq.fold(network())
    wide, narrow = ranges.measure(plain, frames(), clip=0.0), ranges.measure(plain, frames(), clip=0.1)
    assert all(low <= 0 <= high for low, high in wide.values())
    assert wide["c0"][1] > narrow["c0"][1]
    seen = run_all(plain, "c0")
    assert wide["c0"][0] == pytest.approx(min(0, seen.min()))
    assert wide["c0"][1] == pytest.approx(seen.max())


def run_all(model: onnx.ModelProto, name: str) -> np.ndarray:
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    probed.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return np.stack([run(probed, frame)[-1] for frame in frames()])


def test_halve__half_inside_float_outside() -> None:
    plain = qdq.fold(network())
    made = half.halve(plain)
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type == "Conv":
            assert kinds[node.input[1]] == TensorProto.FLOAT16
    assert [v.type.tensor_type.elem_type for v in made.graph.output] == [TensorProto.FLOAT] * 2
    for first, second in zip(run(plain, frames()[0]), run(made, frames()[0]), strict=True):
        assert second.dtype == np.float32
        np.testing.assert_allclose(first, second, atol=5e-3)


def silence(model: onnx.ModelProto, name: str) -> None:
    """Let the first output channel of a weight or bias be zero."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    value = numpy_helper.to_array(tensor).copy()
    value[0] = 0
    tensor.CopyFrom(numpy_helper.from_array(value, name))


def test_plan__keeps_a_layer_that_rounding_ruins() -> None:
    """A layer with one huge and many tiny weights in a channel loses the tiny ones, and they are what counts here."""
    model = qdq.fold(network())
    spoiled = next(tensor for tensor in model.graph.initializer if tensor.name == "w2")
    weight = numpy_helper.to_array(spoiled).copy() * 0.01
    weight[:, 0] = 40.0
    spoiled.CopyFrom(numpy_helper.from_array(weight.astype(np.float32), "w2"))
    first, second = [node for node in model.graph.node if node.op_type == "Conv"][:2]
    for name in (*first.input[1:], *second.input[1:]):
        silence(model, name)
    last = next(node.name for node in model.graph.node if "w2" in node.input)
    found = quantize.plan(model, ranges.measure(model, frames()), frames(), lambda *_: None)
    assert last in found.kept
    assert last not in found.nodes


@pytest.fixture
def source(onnx_file: Callable[..., Path], tmp_path: Path) -> Pack:
    return foreign.import_onnx(onnx_file(), "fastestdet", ["a", "b", "c"], {}, None, tmp_path / "source")


def inputs(pack: Pack) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return quantize.feed([random.integers(0, 256, (80, 80, 3), np.uint8) for _ in range(3)], pack.manifest.input)


def test_pack__variants_beside_the_same_model(source: Pack, tmp_path: Path) -> None:
    steps: set[str] = set()
    made, plan = quantize.quantise(source, inputs(source), tmp_path / "q", lambda step, done, total: steps.add(step))
    assert set(made.manifest.variants) == {"fp32", "int8", "int8-trt", "fp16"}
    assert made.variant("fp32").read_bytes() == source.variant("fp32").read_bytes()
    assert made.manifest.labels == source.manifest.labels
    assert made.address != source.address
    assert steps == {"calibrating", "measuring layers"}
    assert 0 < plan.noise < 0.1
    for precision in made.manifest.variants:
        with Model(made, "cpu", precision) as model:
            assert parity.check(model).ok


def test_pack__twice_is_the_same(source: Pack, tmp_path: Path) -> None:
    first, _ = quantize.quantise(source, inputs(source), tmp_path / "a")
    second, _ = quantize.quantise(source, inputs(source), tmp_path / "b")
    assert first.address == second.address


def test_pack__no_frames(source: Pack, tmp_path: Path) -> None:
    with pytest.raises(QuantiseError, match="no frames"):
        quantize.quantise(source, [], tmp_path / "q")
