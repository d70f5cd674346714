"""Losses and pseudo labels against what the code published with HST gives for the same numbers.

The table was made once by running that code (HCPLab-SYSU/HCP-MLR-PL at d9fd300), of which nothing is here, in double
precision. Its prototype loss has the sign of the labels turned round and counts unknown cells as a constant 1; here
present cells are pulled in, and unknown cells are 0, so that values differ by the share of unknown cells, and gradients
do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from central.learn.tags import losses
from central.learn.tags.network import from_neighbours
from central.learn.tags.prototypes import nearness

INTRA, INTER = 0.55, 0.05
"""Thresholds."""


@dataclass(frozen=True)
class Numbers:
    """The inputs of a row."""

    labels: Tensor
    """``[B, C]``."""
    logits: Tensor
    """``[B, C]``."""
    pairs: Tensor
    """``[B, P]``."""
    features: Tensor
    """``[B, C, D]``."""
    centres: Tensor
    """``[C, K, D]``."""


SIZES = ((16, 6, 8, 3), (32, 20, 32, 10), (7, 5, 16, 4))
"""Images, tags, numbers per feature, prototypes per tag; the place is the seed."""
VALUES = {
    "masked": ((1.1885883893298275, 0.08054288905922041), (0.9961912598245273, 0.027792550019960376),
               (1.1590320670568297, 0.12363897538968503)),
    "pairs": ((0.47242865334911477, 0.02674410293046591), (0.5204436128483748, 0.005537653994393334),
              (0.4733096633392305, 0.05022577313424267)),
    "prototypes": ((1.0083992040037855, 0.01897024204854359), (0.9983931045005482, 0.0017938740196843655),
                   (0.993423365615748, 0.016956053818615563)),
    "instances": ((1.0145983767028626, 0.02004700328651166), (1.0030631267610115, 0.00251280196941547),
                  (0.9505909748567782, 0.04158025256541806)),
}  # fmt: skip
"""Loss, and the norm of its gradient."""
EMITTED = {
    "intra": ((10, 1.9225793679555254), (71, 6.474660891674397), (3, 0.9911144534746804)),
    "inter": ((18, 2.9365891918359206), (34, 1.1659169562844978), (1, 0.02866584242726923)),
}
"""Unknown cells above the threshold, and by how much together."""


def numbers(seed: int) -> Numbers:
    """Return the inputs of row `seed`, drawn in the order of the fields."""
    images, tags, width, prototypes = SIZES[seed]
    random = np.random.default_rng(seed)
    drawn = (
        random.choice([-1.0, 0.0, 1.0], (images, tags)), random.normal(size=(images, tags)) * 2,
        random.normal(size=(images, tags * (tags - 1) // 2)) * 2, random.normal(size=(images, tags, width)),
        random.normal(size=(tags, prototypes, width)),
    )  # fmt: skip
    return Numbers(*(torch.from_numpy(array) for array in drawn))


def of(name: str, given: Numbers) -> tuple[Callable[[Tensor], Tensor], Tensor, float]:
    """Return a loss, what it is a function of, and what the published one adds."""
    if name == "masked":
        return partial(losses.masked_bce, labels=given.labels), given.logits, 0.0
    if name == "pairs":
        return partial(losses.cooccurrence, labels=given.labels), given.pairs, 0.0
    if name == "prototypes":
        unknown = float((given.labels == 0).double().mean())
        return lambda x: losses.prototype_contrast(nearness(x, given.centres), given.labels), given.features, unknown
    few = torch.ones_like(given.labels)  # few enough to be absent that none is left out by chance
    few[0] = -1
    return partial(losses.instance_contrast, labels=few), given.features, 0.0


@pytest.mark.parametrize("seed", range(len(SIZES)))
@pytest.mark.parametrize("name", VALUES)
def test_loss__is_the_published_one(name: str, seed: int) -> None:
    loss, at, added = of(name, numbers(seed))
    at = at.requires_grad_()
    value = loss(at)
    value.backward()  # type: ignore[no-untyped-call]
    assert at.grad is not None
    assert (float(value.detach()) + added, float(at.grad.norm())) == pytest.approx(VALUES[name][seed], rel=1e-9)


@pytest.mark.parametrize("seed", range(len(SIZES)))
@pytest.mark.parametrize("name", EMITTED)
def test_quantity__goes_above_the_threshold_where_the_published_one_does(name: str, seed: int) -> None:
    given = numbers(seed)
    if name == "intra":
        i, j = losses.pairs(given.labels.shape[1])
        matrix = torch.eye(given.labels.shape[1]).double().repeat(len(given.labels), 1, 1)
        matrix[:, i, j] = matrix[:, j, i] = given.pairs.sigmoid()
        above = from_neighbours(matrix, given.labels) - INTRA
    else:
        above = nearness(given.features, given.centres) - INTER
    above = above[given.labels == 0]
    count, together = EMITTED[name][seed]
    assert int((above > 0).sum()) == count
    assert float(above.clamp_min(0).sum()) == pytest.approx(together, rel=1e-6)  # theirs divides by 1e-8 more
