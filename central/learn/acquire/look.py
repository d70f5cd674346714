"""The running network's view of frames, as acquisition needs it: what it finds, what each box looks like inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from central.learn.acquire import LEAST, Candidate, Floats
from central.learn.data import Example
from central.learn.data.dataset import read_image
from central.learn.detect.quick import Found, detect
from central.learn.models.network import Network, expected_sides, to_boxes
from edge.runtime.nms import overlaps, suppress
from edge.runtime.prepare import letterbox

XI: Final = 0.6
"""Exponent of the score in the quality of a class (PPAL, equation 3)."""


@torch.no_grad()
def look(
    network: Network, examples: Sequence[Example], times: Sequence[float] | None = None,
    evidence: Sequence[Mapping[str, float]] | None = None, limit: int = 200,
) -> list[Candidate]:  # fmt: skip
    """Return `examples` as `network` sees them; images that cannot be read are empty frames. At most `limit` boxes."""
    network.eval()
    found = []
    for number, example in enumerate(examples):
        said = dict(evidence[number]) if evidence is not None else {}
        at = float(times[number]) if times is not None else float(number)
        found.append(_seen(network, example, at, said, limit))
    return found


def _seen(network: Network, example: Example, at: float, said: dict[str, float], limit: int) -> Candidate:
    config = network.config
    image = read_image(str(example.path))
    labels = len(config.labels)
    name = str(example.path)
    if image is None:
        none = np.zeros((0, 1), np.float32)
        empty = np.zeros((0, labels), np.float32)
        return Candidate(name, example.camera, at, none.reshape(0, 4), empty, none, none[:, 0], np.zeros(1, np.float32))
    fitted, _ = letterbox(image, config.height, config.width)
    device = next(network.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)))[None].to(device)
    levels, raw = network.levels_and_raw(pixels)
    scores = raw.logits[0].sigmoid()
    best = scores.amax(1)
    strong = (best > LEAST).nonzero()[:, 0]
    mean, deviation = expected_sides(raw.sides[0, strong].float())
    step = network.strides[strong].unsqueeze(1)
    own = _numpy(to_boxes(network.centres[strong], mean * step))
    kept = suppress(own, _numpy(best[strong]), _numpy(scores[strong].argmax(1)).astype(np.int64), 0.6, limit)
    size = np.maximum((own[kept, 2:] - own[kept, :2]).mean(axis=1), 1.0)
    flat = torch.cat([level[0].flatten(1).T for level in levels])
    embedding = raw.embedding[0] if raw.embedding is not None else flat.mean(0)
    return Candidate(
        name, example.camera, at, own[kept], _numpy(scores[strong])[kept], _numpy(flat[strong])[kept],
        np.asarray(_numpy(deviation * step).mean(axis=1)[kept] / size, np.float32), _numpy(embedding), said,
    )  # fmt: skip


def _numpy(tensor: Tensor) -> Floats:
    return np.asarray(tensor.float().cpu().numpy(), np.float32)


def quality(network: Any, examples: Sequence[Example]) -> Floats:
    """Return how well each class is known ``[C]``, 0..1, by labelled `examples`: mean of ``score^XI * IoU^(1 - XI)``.

    Of the best detection of each object; an object that is not found counts 0, a class without any has 0.
    """
    device = next(network.parameters()).device
    sums, counts = np.zeros(len(network.config.labels)), np.zeros(len(network.config.labels))
    for image in detect(network, examples, device):
        for label, value in _known(image):
            sums[label] += value
            counts[label] += 1
    return np.asarray(sums / np.maximum(counts, 1), np.float32)


def _known(image: Found) -> list[tuple[int, float]]:
    found = []
    for box, label in zip(image.true_boxes, image.true_classes, strict=True):
        mine = image.classes == label
        iou = overlaps(image.boxes[mine], box[None])[:, 0] if mine.any() else np.zeros(0)
        good = iou >= 0.5
        best = (image.scores[mine][good] ** XI * iou[good] ** (1 - XI)).max(initial=0.0)
        found.append((int(label), float(best)))
    return found
