"""Starting from a pack: its network back in torch, bit by bit, fitted to the labels of today."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import numpy as np
import onnx
import torch
from torch import Tensor

from central.learn.models import ModelConfig, Network, build
from edge.runtime import RuntimeFault, modelfile, packs
from export import checkpoint
from export.build import config_of
from export.graph import ExportError, weights_of
from protocols.pack import MODEL, Pack, PackError

LAST: Final = "last.safetensors"
"""The checkpoint in a run folder."""
AVERAGE: Final = "average."
"""Prefix of the averaged weights in it."""
PER_CLASS: Final = ("detect.classes.", "tags.out.")
"""Weights whose first axis is the classes or tags."""


class StartError(ValueError):
    """A pack that training cannot start from. The text says which, why, and what to do."""


def read_pack(pack: Pack) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the configuration and the weights by name of a pack of ours. Raises StartError."""
    path = pack.path(MODEL)
    try:
        model = onnx.load_model_from_string(modelfile.read(path))
        config = msgspec.convert(config_of(model), ModelConfig, strict=False)
    except (ExportError, RuntimeFault, msgspec.ValidationError, ValueError) as error:
        raise StartError(f"pack {pack.address[:12]} ({pack.manifest.name}): {error}") from None
    weights = {name: torch.from_numpy(np.array(value)) for name, value in weights_of(model).items()}
    return config, weights


def weights_from(source: str, labels: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the weights that training for `labels` starts from.

    `source` is a safetensors file, a run folder (its averaged weights) or a pack (file, folder or ``base``), whose
    classes keep their weights under their names. Raises StartError, checkpoint.CheckpointError.
    """
    path = Path(source)
    if path.is_dir() and (path / LAST).is_file():
        path = path / LAST
    if path.suffix == ".safetensors":
        tensors = checkpoint.read(path)[0]
        averaged = {k.removeprefix(AVERAGE): v for k, v in tensors.items() if k.startswith(AVERAGE)}
        return averaged or tensors
    try:
        with TemporaryDirectory() as folder:
            return network_from(packs.find(source, Path(folder)), labels, labels).state_dict()
    except (PackError, RuntimeFault) as error:
        raise StartError(f"{source}: neither a run folder, safetensors nor a pack ({error})") from None


def _fit(tensor: Tensor, fresh: Tensor, old: tuple[str, ...], new: tuple[str, ...]) -> Tensor:
    """Return `fresh` with the rows of the classes that `old` and `new` share copied from `tensor`."""
    fitted = fresh.clone()
    for row, name in enumerate(new):
        if name in old:
            fitted[row] = tensor[old.index(name)]
    return fitted


def network_from(pack: Pack, labels: tuple[str, ...], tags: tuple[str, ...] | None = None) -> Network:
    """Return the network of `pack` for `labels` and `tags` (the pack's own where None).

    Classes that the pack knows keep their weights under their names, new ones start fresh, missing ones are dropped.
    """
    old, weights = read_pack(pack)
    config = msgspec.structs.replace(old, labels=labels, tags=old.tags if tags is None else tags)
    network = build(config)
    fresh = network.state_dict()
    for name in [n for n in weights if n.startswith(PER_CLASS) and n in fresh]:
        before, after = (old.labels, config.labels) if name.startswith("detect") else (old.tags, config.tags)
        weights[name] = _fit(weights[name], fresh[name], before, after)
    checkpoint.load_into(network, weights)
    return network.eval()
