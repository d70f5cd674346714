"""The settings of a training of tags."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]


class TagsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tags are learned. The schedule is the papers', and so are the losses' weights but for contrast."""

    method: str = "hst"
    """File in ``central/learn/tags/methods``."""
    width: Annotated[int, Meta(ge=8, le=1024)] = 128
    """Numbers D per tag feature."""
    attention: Annotated[int, Meta(ge=4, le=1024)] = 64
    hidden: Annotated[int, Meta(ge=8, le=1024)] = 128
    """Of the pair head."""
    words: str = "shipped"
    """``shipped``, ``learned``, or the path of an embedding."""
    learned: Annotated[int, Meta(ge=8, le=1024)] = 64
    """Numbers per word vector where they are learned."""
    epochs: Annotated[int, Meta(ge=1, le=1000)] = 20
    warm: Annotated[int, Meta(ge=0, le=1000)] = 5
    """Epochs before pseudo labels."""
    refresh: Annotated[int, Meta(ge=1, le=1000)] = 5
    """Epochs between two k-means."""
    batch: Annotated[int, Meta(ge=2, le=4096)] = 32
    rate: Annotated[float, Meta(gt=0, le=1)] = 1e-3
    decay: Annotated[float, Meta(ge=0, le=1)] = 5e-4
    drop_at: Share = 0.5
    """Share of the epochs after which the rate is a tenth."""
    prototypes: Annotated[int, Meta(ge=1, le=100)] = 10
    cooccurrence: Annotated[float, Meta(ge=0)] = 10.0
    contrast: Annotated[float, Meta(ge=0)] = 0.5
    threshold: Annotated[float, Meta(ge=0)] = 0.1
    intra: Annotated[float, Meta(ge=0)] = 1.0
    inter: Annotated[float, Meta(ge=0)] = 1.0
    """Weights of the losses: pairs, contrast (both), thresholds (each), pseudo labels of either branch. The papers have
    0.05 for contrast; on a frozen backbone, ten times that made more of the pseudo labels right."""
    sure: Annotated[float, Meta(ge=0.5, lt=1)] = 0.95
    """How sure a threshold of HST has to be of a pseudo label; 0.5, as published, is the threshold itself."""
    seed: int = 0
