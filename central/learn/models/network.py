"""The network: one backbone pass, all heads. `Network.raw` is for training, `Network.forward` is what is exported."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from central.learn.models.backbone import Backbone
from central.learn.models.config import BINS, SIZES, STRIDES, ModelConfig
from central.learn.models.heads import BlurHead, DetectHead, EmbeddingHead, TagHead
from central.learn.models.neck import Neck
from central.learn.models.semantic import SemanticTagHead

ZERO = 114.0
"""Pixel value that becomes 0: that of the letterbox padding, so that padding looks like nothing."""
CONTRAST = 64.0
"""Pixel steps per unit. One zero and one scale for all channels, so that in 8 bits the image itself is the tensor."""


class Raw(NamedTuple):
    """Outputs that losses work on. A: number of cells over all levels."""

    logits: Tensor
    """``[B, A, C]`` class logits."""
    sides: Tensor
    """``[B, A, 4, BINS]`` logits of the distance to left, top, right, bottom, in strides."""
    blur: Tensor | None
    """``[B, 1, H/8, W/8]``."""
    embedding: Tensor | None
    """``[B, D]``, unit length."""
    tags: Tensor | None
    """``[B, T]`` logits."""


def cells(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return centres ``[A, 2]`` (x, y, pixels) and strides ``[A]`` of all cells of an input of `height` x `width`."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        points.append((torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(points[-1]),), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


def mean_sides(sides: Tensor) -> Tensor:
    """Return the mean ``[..., 4]`` (in strides) of the side distributions ``[..., 4, BINS]``."""
    support = torch.arange(BINS, device=sides.device, dtype=sides.dtype)
    return sides.softmax(-1) @ support


def expected_sides(sides: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation ``[..., 4]`` (in strides) of the side distributions ``[..., 4, BINS]``."""
    support = torch.arange(BINS, device=sides.device, dtype=sides.dtype)
    probability = sides.softmax(-1)
    mean = (probability * support).sum(-1)
    variance = (probability * (support - mean.unsqueeze(-1)) ** 2).sum(-1)
    return mean, variance.clamp_min(1e-6).sqrt()


def to_boxes(centres: Tensor, distances: Tensor) -> Tensor:
    """Return boxes xyxy ``[..., 4]`` from centres ``[..., 2]`` and distances to the four sides (pixels)."""
    return torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), -1)


def tag_head(config: ModelConfig) -> TagHead | SemanticTagHead:
    """Return a fresh tag head as `config` says."""
    channels, tags, semantic = SIZES[config.size].widths[3], len(config.tags), config.semantic
    if semantic is None:
        return TagHead(channels, tags)
    return SemanticTagHead(channels, tags, semantic.width, semantic.attention)


class Network(nn.Module):
    """One graph, many heads. Input ``[B, 3, H, W]``, RGB 0..255 (uint8 or float)."""

    centres: Tensor
    strides: Tensor
    trunk: Final = ("backbone.", "neck.")
    """Prefixes of what training of the heads alone leaves as it is."""
    nms_iou: Final = 0.5
    heads: dict[str, str]
    """Heads that learn from boxes and tags, and the prefix of their weights; the blur head learns by itself."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size = SIZES[config.size]
        centres, strides = cells(config.height, config.width)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("strides", strides, persistent=False)
        self.backbone = Backbone(size)
        self.neck = Neck(size.widths[1:], size.neck)
        self.detect = DetectHead(size.neck, len(config.labels), size.head_blocks)
        kept = {"blur", "embedding"} - set(config.without)
        self.blur: BlurHead | None = BlurHead(size.widths[1]) if "blur" in kept else None
        self.embedding: EmbeddingHead | None = (
            EmbeddingHead(size.widths[3], config.embedding) if "embedding" in kept else None
        )
        self.tags: TagHead | SemanticTagHead | None = tag_head(config) if config.tags else None
        self.heads = {"detect": "detect."} | ({"tags": "tags."} if config.tags else {})

    def levels_and_raw(self, image: Tensor) -> tuple[list[Tensor], Raw]:
        """Return what the detection head sees, ``[B, c, h, w]`` at each stride in the order of `cells`, and `raw`."""
        features = self.backbone((image.float() - ZERO) * (1 / CONTRAST))
        levels = self.neck(features)
        logits, sides = self.detect(levels)
        return levels, Raw(
            logits,
            sides,
            self.blur(features[0]) if self.blur is not None else None,
            self.embedding(features[2]) if self.embedding is not None else None,
            self.tags(features[2]) if self.tags is not None else None,
        )

    def raw(self, image: Tensor) -> Raw:
        """Return what the losses need; `image` may have any height and width that are multiples of 32."""
        return self.levels_and_raw(image)[1]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return what the graph gives for one image ``[1, 3, height, width]`` of the configured size.

        boxes ``[K, 4]`` xyxy and spread ``[K, 4]`` in input pixels, scores ``[K, C]``, blur ``[1, 1, H/8, W/8]``,
        embedding ``[1, D]``, tags ``[1, T]`` 0..1. Only the `top_k` best cells (by their best class) are decoded.
        """
        raw = self.raw(image)
        logits, sides = raw.logits[0], raw.sides[0]
        best = logits.amax(1).topk(min(self.config.top_k, len(self.strides))).indices
        mean, spread = expected_sides(sides.index_select(0, best))
        step = self.strides.index_select(0, best).unsqueeze(1)
        boxes = to_boxes(self.centres.index_select(0, best), mean * step)
        out = {"boxes": boxes, "scores": logits.index_select(0, best).sigmoid(), "spread": spread * step}
        if raw.blur is not None:
            out["blur"] = raw.blur
        if raw.embedding is not None:
            out["embedding"] = raw.embedding
        if raw.tags is not None:
            out["tags"] = raw.tags.sigmoid()
        return out
