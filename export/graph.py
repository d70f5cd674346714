"""A torch network to an ONNX graph whose weights keep their names, so that the graph is the checkpoint.

Every tensor of the network's state dict is an initializer of the same name, shape and bits: a round may start from
any pack, a delta is a difference of named tensors, and TensorRT refits by name. That is why batch norms are not
folded here (the runtimes fold them when they load the graph) and why every layer of ours with weights is a convolution.
The weights of foreign linear layers stay as they are, before a transposition; of a weight with several names the graph
has one.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, runtime_checkable

import numpy as np
import onnx
import onnx_ir
import torch
from numpy.typing import NDArray
from onnx_ir.passes import common as passes
from onnxscript import optimizer
from torch import nn

OPSET: Final = 18
"""Understood by ONNX Runtime 1.16 and TensorRT 10 and newer."""
LIBRARY: Final = "wayside"
_LOGGERS = ("onnxscript", "torch.onnx", "onnx_ir")


@runtime_checkable
class Lean(Protocol):
    """A network whose graph rightly lacks some of its weights, such as those that only training uses."""

    def left_out(self) -> frozenset[str]:
        """Return their names."""
        ...


class ExportError(ValueError):
    """A network that cannot be exported faithfully. The text says which part."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about its own internals."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def export_graph(network: nn.Module, height: int, width: int) -> onnx.ModelProto:
    """Return the ONNX graph of `network` in evaluation mode for one uint8 image ``[1, 3, height, width]``.

    `network` returns a dict of tensors; their names become the names of the outputs. Raises ExportError where a weight
    lost its name or its value on the way.
    """
    network = network.eval().cpu()
    image = torch.zeros((1, 3, height, width), dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        names = list(network(image))
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=names,
            optimize=False,
            verbose=False,
        )
        if program is None:
            raise ExportError("the exporter returned no graph")
        model = _simplify(program.model)
    _check_weights(model, network)
    return model


def _simplify(model: onnx_ir.Model) -> onnx.ModelProto:
    """Inline functions and fold constants. No rewriting: that would fold the batch norms into the convolutions."""
    passes.InlinePass()(model)
    optimizer.fold_constants(model, input_size_limit=65536, output_size_limit=1 << 20, should_fold=_may_fold)
    passes.IdentityEliminationPass()(model)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.RemoveUnusedFunctionsPass()(model)  # type: ignore[no-untyped-call]
    passes.RemoveUnusedOpsetsPass()(model)
    passes.LiftConstantsToInitializersPass()(model)
    passes.DeduplicateInitializersPass()
    for value in model.graph:
        value.metadata_props.clear()
        value.doc_string = None
    model.producer_name, model.producer_version = LIBRARY, ""
    return onnx_ir.to_proto(model)


def _may_fold(node: onnx_ir.Node) -> bool | None:
    """Keep the transposition of a linear layer's weights in the graph: folded, it would rename them."""
    value = node.inputs[0] if node.op_type == "Transpose" else None
    return False if value is not None and value.is_initializer() else None


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Return every initializer of `model` by name: the weights, under the names that they have in torch."""
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
    }


def _check_weights(model: onnx.ModelProto, network: nn.Module) -> None:
    exported = weights_of(model)
    state = network.state_dict()
    twins = {tensor.data_ptr() for name, tensor in state.items() if name in exported}
    left_out: frozenset[str] = network.left_out() if isinstance(network, Lean) else frozenset()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked") or name in left_out:
            continue
        if name not in exported and tensor.data_ptr() in twins:
            continue
        if name not in exported or not np.array_equal(exported[name], tensor.numpy()):
            raise ExportError(
                f"weight {name} is {'changed' if name in exported else 'missing'} in the exported graph"
            )
