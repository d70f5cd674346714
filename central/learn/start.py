"""Starting from a pack: its network back in torch, bit by bit, fitted to the labels of today."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import numpy as np
import onnx
import torch
from torch import Tensor

from central.learn import families
from central.learn.families import AnyConfig
from edge.runtime import RuntimeFault, modelfile, packs
from export import checkpoint
from export.build import config_of
from export.graph import ExportError, Lean, weights_of
from protocols.pack import MODEL, Pack, PackError

LAST: Final = "last.safetensors"
"""The checkpoint in a run folder."""
AVERAGE: Final = "average."
"""Prefix of the averaged weights in it."""


class StartError(ValueError):
    """A pack that training cannot start from. The text says which, why, and what to do."""


def read_pack(pack: Pack) -> tuple[AnyConfig, dict[str, Tensor]]:
    """Return the configuration and the weights by name of a pack made by `export.build`, of any family.

    Raises StartError.
    """
    path = pack.path(MODEL)
    try:
        model = onnx.load_model_from_string(modelfile.read(path))
        config = families.parse(config_of(model))
    except (ExportError, RuntimeFault, ValueError) as error:
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
            found: dict[str, Tensor] = network_from(packs.find(source, Path(folder)), labels, labels).state_dict()
            return found
    except (PackError, RuntimeFault) as error:
        raise StartError(f"{source}: neither a run folder, safetensors nor a pack ({error})") from None


def _fit(tensor: Tensor, fresh: Tensor, old: tuple[str, ...], new: tuple[str, ...]) -> Tensor:
    """Return `fresh` with the rows of the classes that `old` and `new` share copied from `tensor`."""
    fitted = fresh.clone()
    for row, name in enumerate(new):
        if name in old:
            fitted[row] = tensor[old.index(name)]
    return fitted


def network_from(pack: Pack, labels: tuple[str, ...], tags: tuple[str, ...] | None = None) -> Any:
    """Return the network of `pack`, of whichever family, for `labels` and `tags` (the pack's own where None).

    Classes that the pack knows keep their weights under their names, new ones start fresh, missing ones are dropped.
    Raises StartError.
    """
    old, weights = read_pack(pack)
    try:
        return _grown(old, weights, labels, tags)
    except ValueError as error:
        raise StartError(f"pack {pack.address[:12]} ({pack.manifest.name}): {error}") from None


def fitted(network: Any, labels: tuple[str, ...]) -> Any:
    """Return a copy of `network` for `labels`, as `network_from` makes it of a pack. Raises StartError."""
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    try:
        return _grown(network.config, weights, labels, None)
    except ValueError as error:
        raise StartError(f"a network for {', '.join(labels)}: {error}") from None


def _grown(old: AnyConfig, weights: dict[str, Tensor], labels: tuple[str, ...], tags: tuple[str, ...] | None) -> Any:
    """Return a network for `labels` and `tags` with `weights`, those of a network as `old` says. Raises ValueError."""
    config = msgspec.structs.replace(old, labels=labels, tags=old.tags if tags is None else tags)
    family = families.of(config)
    network: Any = family.build(config)
    fresh, weights = network.state_dict(), family.whole(network, weights)
    for name in fresh.keys() & weights.keys():
        rows = family.rows(name)
        if rows == "pairs":
            half = fresh[name].new_zeros((len(config.tags), len(old.tags)))
            half = _fit(weights[name], half, old.tags, config.tags)
            weights[name] = _fit(half.t(), fresh[name].t(), old.tags, config.tags).t()
        elif rows is not None:
            weights[name] = _fit(weights[name], fresh[name], getattr(old, rows), getattr(config, rows))
    left = set(checkpoint.load_into(network, weights, strict=False))
    missing = sorted(left - (network.left_out() if isinstance(network, Lean) else frozenset()))
    if missing:
        raise ValueError(f"it lacks {len(missing)} weights, the first is {missing[0]}")
    return network.eval()
