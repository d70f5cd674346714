"""Weights and training state on disk: safetensors only, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from protocols import files


class CheckpointError(ValueError):
    """Weights that are missing, damaged or do not fit. The text says which and what to do."""


def write(path: Path, tensors: dict[str, Tensor], about: dict[str, object]) -> None:
    """Replace `path` by `tensors` and `about` (anything JSON)."""
    flat = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    files.write_atomic(path, save(flat, {"about": json.dumps(about)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return tensors and description of the checkpoint at `path`. Raises CheckpointError."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata.get("about", "{}"))  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error})") from None


def load_into(network: nn.Module, tensors: dict[str, Tensor], strict: bool = True) -> list[str]:
    """Copy `tensors` into `network` and return the names that were left as they are.

    With `strict`, a missing or misshapen tensor raises CheckpointError; otherwise it keeps its fresh value, as when a
    class was added. Counters of batch norms may always be missing; a weight of several names is given by one of them.
    """
    state = network.state_dict()
    given = {name for name, tensor in state.items() if name in tensors and tensors[name].shape == tensor.shape}
    with torch.no_grad():
        for name in given:
            state[name].copy_(tensors[name])
    filled = {state[name].data_ptr() for name in given}
    left = [
        name
        for name, tensor in state.items()
        if name not in given and tensor.data_ptr() not in filled and not name.endswith("num_batches_tracked")
    ]
    if strict and left:
        raise CheckpointError(f"{len(left)} weights do not fit, the first is {left[0]}")
    return left
