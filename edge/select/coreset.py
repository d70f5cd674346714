"""A baseline: core-set, the frames that leave no other far from all that is kept.

Greedy k-centre (Gonzalez 1985; for active learning Sener and Savarese 2018) takes the frame farthest from all centres.
On a stream, where frames come once, a frame becomes a centre when it is farther from every centre than a radius; where
the centres are too many, the radius doubles and those that are now too near each other are merged (the doubling
algorithm, Charikar, Chekuri, Feder and Motwani 1997: within eight times of the best radius). Here the radius also
shrinks while the quota is not used, so that as many frames are kept as may be.
"""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Inference
from edge.select import Selector
from edge.select.draw import Draw, Judgement
from edge.select.quota import Allowance
from protocols.messages import Assessment, Policy

CENTRES: Final = 512
"""Centres remembered; at 256 numbers each, half a megabyte."""
DOUBLING: Final = 2.0
FARTHEST: Final = 2.0
"""Cosine distance of opposite embeddings."""
FIRST_RADIUS: Final = 1e-4
"""Cosine distance of two pictures of a still scene."""
SHRINK: Final = 0.995
"""Per frame that was too near while the bucket was above its level."""
GROWTH: Final = 1.5
"""Per kept frame: a burst of new views raises the bar."""


class Coreset:
    """Judges by distance to the centres. Implements `edge.select.draw.Judge`."""

    def __init__(self) -> None:
        self._centres: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._radius = FIRST_RADIUS

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return one for a frame farther than the radius from all centres, else zero."""
        embedding = None if inference is None else inference.embedding
        if embedding is None:
            return 0.0, "the pack has no embedding"
        distance = self._distance(embedding)
        if not allowance.token:
            return 0.0, "the quota is used up for now"
        if distance > self._radius:
            return 1.0, f"farther from all kept frames ({distance:.4f}) than {self._radius:.4f}"
        if allowance.gain > 1.0:
            self._radius = max(FIRST_RADIUS, self._radius * SHRINK)
        return 0.0, f"near a kept frame ({distance:.4f})"

    def _distance(self, embedding: NDArray[np.float32]) -> float:
        if not len(self._centres) or self._centres.shape[1] != len(embedding):
            return 2.0
        return max(0.0, 1.0 - float((self._centres @ embedding).max()))

    def kept(self, inference: Inference | None) -> None:
        """Make the frame a centre; where there are too many, double the radius and merge."""
        embedding = None if inference is None else inference.embedding
        if embedding is None:
            return
        row = np.asarray(embedding, np.float32)[None]
        same = len(self._centres) and self._centres.shape[1] == row.shape[1]
        self._centres = np.vstack([self._centres, row]) if same else row
        self._radius = min(FARTHEST, self._radius * GROWTH)
        while len(self._centres) > CENTRES:
            self._radius = min(FARTHEST, self._radius * DOUBLING)
            self._centres = merged(self._centres, self._radius)


def merged(centres: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Return those of `centres` ``[n, D]`` that are farther than `radius` from all taken before them."""
    taken: list[int] = []
    near = np.zeros(len(centres), bool)
    for index in range(len(centres)):
        if not near[index]:
            taken.append(index)
            near |= 1.0 - centres @ centres[index] <= radius
    return centres[taken]


class CoresetPolicy:
    """The member of `edge.select` for greedy k-centre on a stream."""

    name = "core-set"

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Draw(policy, random, Coreset(), chance=False)


POLICY = CoresetPolicy()
