"""The range of every tensor of a graph over real frames: what 8 bits have to cover."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from edge.runtime.session import options

Ranges = dict[str, tuple[float, float]]
"""Tensor name to lowest and highest value."""
CLIP: Final = 0.0001
"""Share of a frame's values that may fall outside at either end: outliers would stretch every other step."""


def float_tensors(model: onnx.ModelProto) -> list[str]:
    """Return the names of all float tensors that nodes of the graph produce, shapes inferred before."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*model.graph.value_info, *model.graph.output)}
    produced = [name for node in model.graph.node for name in node.output]
    return [name for name in produced if kinds.get(name) == onnx.TensorProto.FLOAT]


def _probe(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    probed = copy.deepcopy(model)
    shown = {output.name for output in probed.graph.output}
    for name in names:
        if name not in shown:
            probed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return bytes(probed.SerializeToString())


def _ends(values: NDArray[np.float32], clip: float) -> tuple[float, float]:
    flat = values.ravel()
    if not flat.size:
        return 0.0, 0.0
    skip = int(flat.size * clip)
    if not skip:
        return float(flat.min()), float(flat.max())
    ordered = np.partition(flat, [skip, flat.size - 1 - skip])
    return float(ordered[skip]), float(ordered[flat.size - 1 - skip])


def measure(
    model: onnx.ModelProto,
    inputs: Sequence[NDArray[np.generic]],
    clip: float = CLIP,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ranges:
    """Return the range of the input and of every float tensor of `model` over `inputs`: the widest over all frames.

    Per frame the `clip` share of values at each end is left out. Zero is always inside, as padding and ReLU need it.
    """
    names = float_tensors(model)
    session = ort.InferenceSession(_probe(model, names), options(1), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    low, high = dict.fromkeys([*names, given], 0.0), dict.fromkeys([*names, given], 0.0)
    for done, array in enumerate(inputs, 1):
        for name, value in zip([*names, given], [*session.run(names, {given: array}), array], strict=True):
            least, most = _ends(np.asarray(value, np.float32), clip)
            low[name], high[name] = min(low[name], least), max(high[name], most)
        progress(done, len(inputs))
    return {name: (low[name], high[name]) for name in low}
