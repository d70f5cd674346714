"""Objects in the features of a trunk: patches that are like each other and unlike most of the picture.

LOST (Simeoni et al., BMVC 2021): the patch that is like the fewest others is a seed; of the least connected patches
those like it join; what is like them on the whole, and connected with the seed, is the object. TokenCut (Wang et al.,
CVPR 2022): the second eigenvector of the normalised cut splits the patches into object and rest. Either is repeated on
what is left, for several objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage  # type: ignore[import-untyped,unused-ignore]

from central.learn.discover.proposals import NOTHING, Boxes, Kit, ProposalError, ranked
from central.learn.discover.trunk import Look
from edge.runtime import Float
from edge.runtime.prepare import Image

LEAST_CONNECTED: Final = 0.12
"""Share of the patches that may join the seed; 100 of 784 in the paper."""
EDGE: Final = 0.2
"""Cosine from which two patches are connected (TokenCut)."""
NONE: Final = 1e-5
"""Weight of two patches that are not."""
OBJECTS: Final = 3
"""Of one image and way."""

Floats = NDArray[np.float64]


def likeness(level: NDArray[np.float32]) -> Floats:
    """Return the cosine ``[P, P]`` of the patches of a map ``[c, h, w]``, less their mean."""
    points = level.reshape(level.shape[0], -1).T.astype(np.float64)
    points -= points.mean(0)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    return np.asarray(points @ points.T, np.float64)


def component(mask: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return the connected part of `mask` ``[h, w]`` that holds the patch `seed`; none where it is not in it."""
    labels, _ = ndimage.label(mask)
    own = labels.reshape(-1)[seed]
    return np.asarray((labels == own) & mask) if own else np.zeros_like(mask)


def lost(alike: Floats, shape: tuple[int, int], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the patches ``[h, w]`` of one object among those that are `free` ``[P]``."""
    degree = np.where(free, (alike > 0).sum(1), np.inf)
    seed = int(degree.argmin())
    near = np.argsort(degree, kind="stable")[: max(1, round(LEAST_CONNECTED * len(degree)))]
    chosen = near[(alike[seed, near] > 0) & free[near]]
    mask = (alike[:, chosen].sum(1) > 0) & free
    mask[seed] = True
    return component(mask.reshape(shape), seed)


def token_cut(alike: Floats, shape: tuple[int, int], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the patches ``[h, w]`` of one object among those that are `free` ``[P]``."""
    weights = np.where((alike > EDGE) & free[:, None] & free[None], 1.0, NONE)
    degree = np.diag(weights.sum(1))
    _, vectors = linalg.eigh(degree - weights, degree, subset_by_index=[1, 1])
    vector = vectors[:, 0]
    vector = vector if abs(vector.max()) >= abs(vector.min()) else -vector
    seed = int(np.where(free, vector, -np.inf).argmax())
    mask = (vector > vector.mean()) & free
    mask[seed] = True
    return component(mask.reshape(shape), seed)


def box_of(mask: NDArray[np.bool_], stride: float) -> list[float]:
    """Return the box xyxy, in input pixels, of the patches of `mask` ``[h, w]``."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0] * stride, rows[0] * stride, (columns[-1] + 1) * stride, (rows[-1] + 1) * stride]


class InFeatures:
    """A trunk, asked for objects."""

    def __init__(self, look: Look) -> None:
        self.look, self.key = look, f"features 1 {look.key}"

    def propose(self, image: Image, camera: str, path: Path | None) -> Boxes:
        """Return the boxes of what either way finds."""
        seen = self.look(image)
        level, stride = seen.scene[0].numpy(), seen.scene[1]
        x1, y1, x2, y2 = (int(v / stride) for v in seen.transform.content)
        level = level[:, y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        shape = (level.shape[1], level.shape[2])
        if shape[0] * shape[1] < 4:
            return NOTHING
        alike, found = likeness(level), []
        for way in (token_cut, lost):
            free = np.ones(shape[0] * shape[1], bool)
            for _ in range(OBJECTS):
                mask = way(alike, shape, free)
                if not mask.any() or free.sum() < 4:
                    break
                found.append(box_of(mask, stride))
                free &= ~mask.reshape(-1)
        boxes: Float = np.array(found, np.float32) + np.array([x1, y1] * 2, np.float32) * stride
        return ranked(seen.transform.to_source(boxes), np.linspace(1, 0.1, len(boxes), dtype=np.float32))


class Features:
    """The way."""

    name = "features"
    about = "objects in the features of the trunk (LOST, TokenCut)"

    def open(self, kit: Kit) -> InFeatures:
        """Return it for the trunk of `kit`. Raises ProposalError without one."""
        if kit.trunk is None:
            raise ProposalError("features: name a trunk to look for objects in")
        return InFeatures(kit.trunk)


PROPOSALS = Features()
