"""What a training set covers, in a few embeddings: greedy k-centre, so that rare scenes get one too.

The farthest-first traversal of Gonzalez (1985): no frame of the set is farther from its prototype than twice the optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from central.learn.data import Example
from central.learn.data.dataset import read_image
from central.learn.models import Network
from edge.runtime.prepare import letterbox

COUNT: Final = 64
SAMPLE: Final = 512
"""Frames that are embedded at most, spread evenly over the set."""


@torch.no_grad()
def embeddings(network: Network, examples: Sequence[Example]) -> NDArray[np.float32]:
    """Return the embeddings ``[N, D]`` (unit length) of up to SAMPLE readable images."""
    config = network.config
    step = max(1, len(examples) // SAMPLE)
    found = []
    for example in list(examples)[::step][:SAMPLE]:
        image = read_image(str(example.path))
        if image is None:
            continue
        fitted, _ = letterbox(image, config.height, config.width)
        pixels = torch.from_numpy(np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)))[None]
        embedding = network.raw(pixels).embedding
        if embedding is None:
            break
        found.append(embedding[0].numpy())
    return np.array(found, np.float32).reshape(len(found), -1)


def choose(points: NDArray[np.float32], count: int = COUNT) -> NDArray[np.float32]:
    """Return up to `count` of `points` ``[N, D]`` (unit length) that cover the rest; the first is the most central."""
    if not len(points):
        return points
    chosen = [int(np.argmax(points @ points.mean(0)))]
    nearest = points @ points[chosen[0]]
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
    return points[chosen]
