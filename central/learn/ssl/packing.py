"""From a run of self-supervision to a pack: its own trunk, or its embedding in a pack that detects.

    run -> a pack with trunk and embedding, bit by bit, which detects nothing
    run + pack -> that pack, its embedding head taught to say what the run's would: detection stays as it is
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

import edge
from central.learn.blur.packing import carried
from central.learn.models import Network
from central.learn.models.config import ModelConfig
from central.learn.ssl import Trunk
from central.learn.ssl.settle import means
from central.learn.ssl.train import SslError
from central.learn.start import network_from
from edge.runtime import RuntimeFault, packs
from export import checkpoint, foreign
from export.build import Ingredients, build, noise_frames, parity_inputs
from export.prototypes import SAMPLE, choose
from protocols.blur import FILES
from protocols.pack import Pack, PackError

SILENT: Final = 1.0
"""Threshold of a pack whose detection head never learned."""
RIDGE: Final = 1e-3
"""Share of the mean variance that steadies the regression."""


def embedded(trunk: Trunk, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return the embeddings ``[N, D]`` (unit length) of prepared `pixels`."""
    points = means(trunk.backbone, pixels)
    with torch.no_grad():
        return F.normalize(trunk.embedding.project(points[:, :, None, None]).flatten(1), dim=1)


def _prototypes(points: Tensor) -> NDArray[np.float32]:
    step = max(1, len(points) // SAMPLE)
    return choose(np.asarray(points[::step].numpy(), np.float32))


def whole(trunk: Trunk, labels: tuple[str, ...]) -> Network:
    """Return a network for `labels` with the weights of `trunk`; its other heads are fresh."""
    torch.manual_seed(0)
    config = msgspec.structs.replace(trunk.config, labels=labels, tags=(), without=("blur",))
    network = Network(config)
    checkpoint.load_into(network, trunk.state_dict(), strict=False)
    return network.eval()


def taught(network: Any, points: Tensor, wanted: Tensor) -> None:
    """Let the embedding head of `network` give `wanted` ``[N, D]`` for features `points` ``[N, C]``: ridge regression.

    Raises SslError where the network has none, or one of another dimension.
    """
    head = getattr(network, "embedding", None)
    if head is None or head.project.weight.shape[0] != wanted.shape[1]:
        raise SslError(f"the pack has no embedding of dimension {wanted.shape[1]}; choose --embedding accordingly")
    x, y = points.double(), wanted.double()
    middle, goal = x.mean(0), y.mean(0)
    scatter = (x - middle).T @ (x - middle)
    steady = RIDGE * scatter.diagonal().mean() * torch.eye(len(scatter), dtype=torch.float64)
    weight = torch.linalg.solve(scatter + steady, (x - middle).T @ (y - goal)).T
    with torch.no_grad():
        head.project.weight.copy_(weight[:, :, None, None])
        head.project.bias.copy_(goal - weight @ middle)


def alone(trunk: Trunk, out: Path, name: str, pixels: Sequence[NDArray[np.uint8]]) -> Pack:
    """Write the pack of `trunk` to `out`, with prototypes of prepared `pixels`. Raises ExportError, OSError."""
    network = whole(trunk, trunk.config.labels)
    config = network.config
    about = Ingredients(
        name=name, size=config.size, labels=config.labels, config=msgspec.to_builtins(config), height=config.height,
        width=config.width, score_threshold=SILENT, producer=f"wayside {edge.__version__}",
        card="Learned without labels: embedding and novelty only; its detection head has learned nothing.\n",
    )  # fmt: skip
    return _written(network, about, out, noise_frames(2, config.height, config.width), embedded(trunk, pixels))


def within(
    trunk: Trunk, source: str, out: Path, pixels: Sequence[NDArray[np.uint8]], fitted: Sequence[NDArray[np.uint8]]
) -> Pack:
    """Write the pack `source` with the embedding of `trunk` to `out`.

    `pixels`: the material as `trunk` is fed with it; `fitted`: the same as the pack is. Raises SslError, ExportError,
    StartError, PackError, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        pack = packs.find(source, Path(scratch))
        manifest = pack.manifest
        network = network_from(pack, tuple(manifest.labels))
        if not isinstance(network, Network):
            raise SslError(f"{source}: its embedding is none of ours; give a pack of the family 'wayside'")
        points = means(network.backbone, fitted)
        taught(network, points, embedded(trunk, pixels))
        with torch.no_grad():
            assert network.embedding is not None  # or `taught` had said so
            now = F.normalize(network.embedding.project(points[:, :, None, None]).flatten(1), dim=1)
        about = Ingredients(
            name=manifest.name, size=manifest.size, labels=tuple(manifest.labels), tags=tuple(manifest.tags or ()),
            config=msgspec.to_builtins(network.config), height=network.config.height, width=network.config.width,
            score_threshold=manifest.score_threshold, nms_iou=manifest.nms_iou, parent=pack.address,
            snapshot=manifest.snapshot, producer=f"wayside {edge.__version__}", metrics=dict(manifest.metrics or {}),
        )  # fmt: skip
        proof = parity_inputs(pack) or noise_frames(2, network.config.height, network.config.width)
        return _written(network, about, out, proof, now, carried(pack, FILES))


def input_of(source: str) -> ModelConfig:
    """Return the configuration of the network in the pack `source`. Raises SslError."""
    try:
        with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
            pack = packs.find(source, Path(scratch))
            found = network_from(pack, tuple(pack.manifest.labels)).config
    except (PackError, RuntimeFault, ValueError) as error:
        raise SslError(f"{source}: {error}") from None
    if not isinstance(found, ModelConfig):
        raise SslError(f"{source}: its embedding is none of ours; give a pack of the family 'wayside'")
    return found


def _written(
    network: Network, about: Ingredients, out: Path, proof: Sequence[NDArray[np.uint8]], points: Tensor,
    beside: dict[str, bytes] | None = None,
) -> Pack:  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        made = build(network, about, Path(scratch) / "pack", list(proof), _prototypes(points), beside)
        foreign.save(made, out)
        return made
