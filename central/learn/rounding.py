"""Rounding a trained network to what a delta carries, knowing what its layers see and what its outputs depend on.

network + a few frames -> Sense
Sense + weights of the parent -> protocols.delta.rounding -> the network that is evaluated and signed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.network import Network, Raw
from protocols.delta.rounding import STEP, Sense, round_update

FRAMES: Final = 24
"""Frames that are looked at: some ten thousand inputs of each layer, ten times what a channel has weights at most."""
PLACES: Final = 400
"""Places of a frame at which the inputs of a layer are taken."""
DRAWS: Final = 2
"""Random directions of the outputs per frame whose gradients are averaged."""
REAL: Final = 0.02
"""Score of a cell from which what it says matters."""
SIDES: Final = 0.3
"""How much the logits of box sides count beside those of classes: a softmax over them blurs what each one does."""


def _inputs(layer: nn.Conv2d, inputs: Tensor, random: torch.Generator) -> Tensor:
    """Return the mean products ``[G, K, K]`` of what the weights of `layer` are multiplied with, at random places."""
    padding = (int(layer.padding[0]), int(layer.padding[1]))
    seen = F.unfold(inputs, layer.kernel_size, layer.dilation, padding, layer.stride)
    places = torch.randint(seen.shape[2], (min(PLACES, seen.shape[2]),), generator=random)
    seen = seen[:, :, places].reshape(len(seen), layer.groups, -1, len(places)).double()
    return (seen @ seen.transpose(2, 3)).mean(0) / len(places)


def _moments(network: Any, frames: Sequence[Tensor], random: torch.Generator) -> dict[str, NDArray[np.float64]]:
    sums: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if isinstance(layer, nn.Conv2d):
                sums[name] = sums.get(name, torch.zeros(())) + _inputs(layer, inputs[0], random)

        return hook

    convolutions = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    layers = [(name, layer) for name, layer in convolutions if not isinstance(layer.padding, str)]
    hooks = [layer.register_forward_pre_hook(watch(f"{name}.weight")) for name, layer in layers]
    try:
        with torch.no_grad():
            for frame in frames:
                network.raw(frame)
    finally:
        for handle in hooks:
            handle.remove()
    return {name: (total / len(frames)).numpy() for name, total in sums.items()}


def _direction(network: Network, frame: Tensor, random: torch.Generator) -> Tensor:
    """Return all outputs in one random direction: its gradient has the mean square of those of all outputs."""
    raw: Raw = network.raw(frame)
    cells = (raw.logits.detach().sigmoid().amax(2) > REAL).float()
    cells = cells if bool(cells.any()) else torch.ones_like(cells)
    share = 1 / cells.sum().sqrt()

    def along(output: Tensor, weight: Tensor) -> Tensor:
        signs = torch.randint(0, 2, output.shape, generator=random) * 2.0 - 1
        return (output * signs * weight).sum()

    total = along(raw.logits, (cells * share).unsqueeze(-1))
    sides = cells.reshape(*cells.shape, *(1,) * (raw.sides.ndim - cells.ndim))
    total = total + along(raw.sides, sides * share * SIDES)
    for output in (raw.blur, raw.embedding, raw.tags):
        if output is not None:
            total = total + along(output, torch.tensor(output.numel() ** -0.5))
    return total


def _gains(network: Any, frames: Sequence[Tensor], random: torch.Generator) -> dict[str, float]:
    """Return the mean square of the gradient of the outputs by weight; nothing for foreign families."""
    if not isinstance(network, Network):
        return {}
    weights = {name: p for name, p in network.named_parameters() if p.ndim > 1}
    needed = {name: p.requires_grad for name, p in network.named_parameters()}
    sums = dict.fromkeys(weights, 0.0)
    network.requires_grad_(True)
    try:
        for frame in frames:
            for _ in range(DRAWS):
                found = torch.autograd.grad(
                    _direction(network, frame, random), list(weights.values()), allow_unused=True
                )
                for name, gradient in zip(weights, found, strict=True):
                    sums[name] += 0.0 if gradient is None else float(gradient.double().square().mean())
    finally:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(needed[name])
    return {name: total / (DRAWS * len(frames)) for name, total in sums.items()}


def sense(network: Any, frames: Sequence[NDArray[np.uint8]], seed: int = 0) -> Sense:
    """Return what prepared `frames`, uint8 ``[1, 3, H, W]`` each, tell of `network`. None of them: it knows nothing."""
    if not frames:
        return Sense()
    network.eval()
    random = torch.Generator().manual_seed(seed)
    tensors = [torch.from_numpy(frame) for frame in frames]
    return Sense(_moments(network, tensors, random), _gains(network, tensors, random))


def round_network(
    network: Any, parent: Mapping[str, Tensor], frames: Sequence[NDArray[np.uint8]], step: float = STEP
) -> None:
    """Round the weights of `network`, in place, to what a delta from the weights of `parent` carries.

    `frames`: prepared, uint8 ``[1, 3, H, W]``, of the kind that it was trained on; up to FRAMES of them are used.
    """
    chosen = list(frames)[:: max(1, len(frames) // FRAMES)][:FRAMES]
    old = {name: tensor.detach().numpy() for name, tensor in parent.items()}
    state = network.state_dict()
    new = {name: np.array(tensor.detach().numpy(), order="C") for name, tensor in state.items()}
    rounded = round_update(old, new, step, sense(network, chosen))
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(torch.from_numpy(np.asarray(rounded[name])))
