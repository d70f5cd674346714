"""D-FINE and DEIMv2: Transformers' own set losses (Hungarian matching, MAL or VFL, L1, GIoU, FGL, DDF), made aware of
partial labels: where a class is not complete, no gradient says that it is absent.

A machine's box counts from half confidence on; below, its class is unknown in that image.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from central.learn.data.dataset import Batch
from central.learn.detect.background import SURE
from central.learn.detect.loss import TAG_WEIGHT, Losses, shared, tag_loss
from central.learn.families import Rows, Tutor
from central.learn.models.detr import PER_CLASS, DetrConfig, DetrNetwork, Found

CONFIDENT: Final = 0.5
"""Weight from which a box is an example; Transformers' losses know no weights in between."""
_PARTS: Final = {"classes": ("mal", "vfl", "focal"), "boxes": ("bbox", "giou"), "sides": ("fgl", "ddf")}


def targets(batch: Batch) -> list[dict[str, Tensor]]:
    """Return the sure boxes of each image as Transformers takes them: cxcywh as shares of the input."""
    height, width = batch.images.shape[2:]
    size = torch.tensor([width, height] * 2, dtype=torch.float32, device=batch.boxes.device)
    low, high = batch.boxes[..., :2], batch.boxes[..., 2:]
    shares = torch.cat(((low + high) / 2, high - low), -1) / size
    keep = (batch.classes >= 0) & (batch.weights >= CONFIDENT)
    return [{"class_labels": c[k], "boxes": b[k]} for c, b, k in zip(batch.classes, shares, keep, strict=True)]


def unknown(batch: Batch) -> Tensor:
    """Return ``[B, C]``: classes that some region of the image is not complete for, or that have an unsure box."""
    real = (batch.regions[..., 2] > batch.regions[..., 0]).unsqueeze(-1)
    missing = (~batch.complete & real).any(1)
    doubtful = (batch.classes >= 0) & (batch.weights < CONFIDENT)
    rows, boxes = doubtful.nonzero(as_tuple=True)
    missing[rows, batch.classes[rows, boxes]] = True
    return missing


def guard(logits: Tensor, doubt: Tensor, guess: Tensor | None) -> Tensor:
    """Return `logits` ``[B, ..., C]`` unchanged, through which no gradient passes that lowers a class in `doubt`.

    A descent step lowers what has a positive gradient. `guess` ``[C]`` lets that share of it through where the class is
    improbable already.
    """
    if not logits.requires_grad or not bool(doubt.any()):
        return logits
    wide = doubt.view(len(doubt), *[1] * (logits.ndim - 2), doubt.shape[1]).expand_as(logits)
    passing = torch.zeros_like(logits)
    if guess is not None:
        passing = guess * (logits.detach().sigmoid() < SURE)
    through = logits * 1.0
    hook: Any = through.register_hook
    hook(lambda slope: torch.where(wide & (slope > 0), slope * passing, slope))
    return through


def _criterion(
    network: DetrNetwork, found: Found, wanted: list[dict[str, Tensor]], doubt: Tensor, guess: Tensor | None
) -> dict[str, Tensor]:
    inner, detector = found.inner, network.detector
    classes = guard(inner.intermediate_logits, doubt, guess)
    coordinates = inner.intermediate_reference_points
    parts: dict[str, Tensor] = detector.loss_function(
        classes[:, -1], wanted, classes.device, coordinates[:, -1], detector.config, classes, coordinates,
        enc_topk_logits=guard(inner.enc_topk_logits, doubt, guess), enc_topk_bboxes=inner.enc_topk_bboxes,
        denoising_meta_values=inner.denoising_meta_values,
        predicted_corners=inner.intermediate_predicted_corners, initial_reference_points=inner.initial_reference_points,
    )[1]  # fmt: skip
    return parts


class Detr:
    """The family."""

    name = "detr"
    tuning_rate = 1e-4
    """An eighth of D-FINE-N's own rate at a batch of 128, for the smaller batches of a round."""

    def build(self, config: DetrConfig) -> DetrNetwork:
        """Return a freshly initialised network. Raises DetrError."""
        return DetrNetwork(config)

    def rows(self, name: str) -> Rows | None:
        """Return what the rows of the weight `name` stand for."""
        return "labels" if any(p in name for p in PER_CLASS) else "tags" if name.startswith("tags.out.") else None

    def whole(self, network: DetrNetwork, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `weights` and, for the heads of the decoder layers before the last, a copy of the last one's.

        Denoising queries start fresh; what the graph holds folded follows from the configuration.
        """
        twins = {name: weights[last] for name, last in network.early().items() if last in weights}
        return weights | twins

    def losses(
        self, network: Any, batch: Batch, guess: Tensor | None, fast: bool, tutor: Tutor | None = None
    ) -> Losses:
        """Return the losses of `network` on `batch` over all decoder layers and denoising groups.

        Always float32: the matching needs it. There is no tutor of this family.
        """
        wanted = targets(batch)
        found: Found = network.raw(batch.images, wanted)
        parts = _criterion(network, found, wanted, unknown(batch), guess)
        named = shared(network.config.labels, network.config.tags)
        zero = batch.boxes.new_zeros(())
        sums = {
            kind: sum((v for n, v in parts.items() if n.split("_")[1] in names), zero) for kind, names in _PARTS.items()
        }
        return Losses(**sums, tags=TAG_WEIGHT * tag_loss(found.tags, batch, named))

    def tutor(self, teacher: Any, labels: tuple[str, ...], weight: float) -> None:
        """Return None: queries have no fixed places at which two networks could be compared."""


FAMILY = Detr()
