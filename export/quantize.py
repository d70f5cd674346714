"""Smaller and faster variants of a pack: 8 bits for CPUs, 8 bits for TensorRT, half precision.

    fp32 graph -> batch norms folded -> ranges on real frames -> which layers stay in float -> int8, int8-trt
                                    \\-> fp16

One calibration serves both 8-bit forms: unsigned activations with zero points and signed weights per channel for CPUs
(their fast kernels multiply unsigned by signed), symmetric signed activations and no quantised bias for TensorRT.
What follows the last convolutions (top-K, softmax, boxes) is never quantised: it costs little and decides everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edge.runtime import Float, RuntimeFault, modelfile, parity
from edge.runtime.model import Model
from edge.runtime.prepare import Image, prepare
from edge.runtime.session import options
from export import half, pixels, qdq
from export.parity import kept, pack_arrays
from export.ranges import Ranges, measure
from protocols import pack
from protocols.pack import Input, Pack

INT8: Final = "int8"
INT8_TRT: Final = "int8-trt"
FP16: Final = "fp16"
PROBES: Final = 4
"""Frames that a layer's sensitivity is measured on: noise of rounding differs little from frame to frame."""
WORTH: Final = 0.1
"""Share of the remaining noise that keeping one more layer in float must remove."""
KEPT_SHARE: Final = 0.25
"""Share of the layers that may stay in float; more, and the variant loses what it is for."""

Progress = Callable[[str, int, int], None]
Inputs = Sequence[NDArray[np.generic]]


class QuantiseError(ValueError):
    """A pack that cannot be quantised, or frames that cannot calibrate it. The text says which and why."""


@dataclass(frozen=True)
class Plan:
    """What is quantised. `noise`: rounding noise over signal at the heads' ends, with `kept` in float; 0 is perfect."""

    nodes: tuple[str, ...]
    kept: tuple[str, ...]
    noise: float


class _Ends:
    """The outputs of the heads' final layers, in float and quantised."""

    def __init__(self, model: onnx.ModelProto, ranges: Ranges, inputs: Inputs) -> None:
        ends = set(qdq.last_heavy(model.graph))
        self.model, self.ranges, self.inputs = model, ranges, inputs
        self.names = [name for node in model.graph.node if node.name in ends for name in node.output]
        self.truth = self._run(model)

    def _run(self, model: onnx.ModelProto) -> list[list[Float]]:
        probed = onnx.ModelProto()
        probed.CopyFrom(model)
        shown = {output.name for output in probed.graph.output}
        extra = [
            onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in self.names if n not in shown
        ]
        probed.graph.output.extend(extra)
        session = ort.InferenceSession(probed.SerializeToString(), options(1), providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0].name
        return [session.run(self.names, {given: array}) for array in self.inputs]

    def noise(self, nodes: Collection[str]) -> float:
        """Return the mean over the heads of noise power over signal variance with `nodes` quantised."""
        if not nodes:
            return 0.0
        quantised = self._run(qdq.quantise(self.model, self.ranges, nodes))
        shares = []
        for index in range(len(self.names)):
            truth = np.concatenate([frame[index].ravel() for frame in self.truth])
            given = np.concatenate([frame[index].ravel() for frame in quantised])
            shares.append(float(((truth - given) ** 2).mean() / max(float(truth.var()), 1e-12)))
        return float(np.mean(shares))


def plan(model: onnx.ModelProto, ranges: Ranges, inputs: Inputs, progress: Progress) -> Plan:
    """Return what to quantise of a folded `model`: everything but the layers whose rounding harms the heads most.

    Each convolution is quantised alone and the noise at the heads' ends measured; then the worst ones are kept in float
    one by one, as long as each removes at least WORTH of the noise that is left.
    """
    every = qdq.candidates(model.graph)
    kinds = {node.name: node.op_type for node in model.graph.node}
    layers = [name for name in every if kinds[name] == "Conv"]
    if not layers:
        raise QuantiseError("the network has no convolutions, so there is nothing to quantise")
    ends = _Ends(model, ranges, inputs[:PROBES])
    alone = {}
    for done, name in enumerate(layers, 1):
        alone[name] = ends.noise([name])
        progress("measuring layers", done, len(layers))
    kept: list[str] = []
    noise = ends.noise(every)
    for name in sorted(layers, key=lambda layer: -alone[layer])[: int(KEPT_SHARE * len(layers))]:
        less = ends.noise([node for node in every if node not in {*kept, name}])
        if less > (1 - WORTH) * noise:
            break
        kept, noise = [*kept, name], less
    return Plan(tuple(name for name in every if name not in kept), tuple(kept), noise)


def serialise(model: onnx.ModelProto, name: str) -> bytes:
    """Return the bytes of `model`, verified as a node would."""
    model.producer_name, model.producer_version = "wayside", ""
    for node in model.graph.node:
        node.doc_string = ""
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node}
    imports = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    data = bytes(model.SerializeToString(deterministic=True))
    modelfile.verify(data, name)
    return data


def _expected(made: Pack, precision: str, arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Return what the variant gives here for the pack's parity frames, under names of its own."""
    found: dict[str, NDArray[np.generic]] = {}
    with Model(made, "cpu", precision) as model:
        for index, (frame, _) in enumerate(parity.frames(arrays)):
            outputs = kept(parity.outputs(model, frame), index == 0)
            found |= {f"{name}@{precision}_{index}": value for name, value in outputs.items()}
    return found


def _with_variants(source: Pack, variants: dict[str, bytes], folder: Path) -> Pack:
    contents = {name: source.path(name).read_bytes() for name in source.manifest.files}
    names = {precision: f"model.{precision}.onnx" for precision in variants}
    contents.update({names[precision]: data for precision, data in variants.items()})
    manifest = msgspec.structs.replace(source.manifest, variants={**source.manifest.variants, **names})
    made = pack.create(folder, manifest, contents)
    if pack.PARITY not in contents:
        return made
    arrays = parity.load(source.path(pack.PARITY))
    for precision in variants:
        arrays |= _expected(made, precision, arrays)
    contents[pack.PARITY] = pack_arrays(arrays)
    return pack.create(folder, manifest, contents)


def feed(frames: Sequence[Image], spec: Input) -> list[NDArray[np.generic]]:
    """Return BGR `frames` ``[H, W, 3]`` as the graph takes them, ``[1, 3, height, width]``."""
    return [prepare(frame, spec)[0] for frame in frames]


def quantise(
    source: Pack,
    inputs: Inputs,
    folder: Path,
    progress: Progress = lambda step, done, total: None,
) -> tuple[Pack, Plan]:
    """Write `source` with the variants int8, int8-trt and fp16 into `folder`; return the new pack and the plan.

    `inputs` are real frames as the graph takes them, ``[1, 3, H, W]``. Raises QuantiseError or RuntimeFault.
    """
    if not inputs:
        raise QuantiseError("there are no frames to calibrate with")
    plain = qdq.fold(modelfile.read(source.variant("fp32")))
    blocks = pixels.in_blocks(plain)
    ranges = measure(blocks, inputs, progress=lambda done, total: progress("calibrating", done, total))
    chosen = plan(blocks, ranges, inputs, progress)
    variants = {
        INT8: serialise(pixels.feed_pixels(qdq.quantise(blocks, ranges, chosen.nodes)), INT8),
        INT8_TRT: serialise(qdq.quantise(plain, ranges, chosen.nodes, tensorrt=True), INT8_TRT),
        FP16: serialise(half.halve(plain), FP16),
    }
    made = _with_variants(source, variants, folder)
    for precision in variants:
        with Model(made, "cpu", precision) as model:
            outcome = parity.check(model) if pack.PARITY in made.manifest.files else None
        if outcome is not None and not outcome.ok:
            raise RuntimeFault(f"{precision}: {outcome.detail}")
    return made, chosen
