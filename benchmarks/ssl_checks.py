"""Checks of what self-supervision learned: places and things found, cameras told apart, nothing collapsed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from central.learn.data.coco import load
from central.learn.detect import coco as truths
from central.learn.detect.quick import detect, measure
from central.learn.models import build
from central.learn.models.config import STRIDES
from central.learn.models.heads import EmbeddingHead
from central.learn.ssl import Batch, Needs, Trunk, packing, settle
from central.learn.ssl.config import SslConfig
from central.learn.ssl.material import Stock
from central.learn.ssl.stream import Stream, collate
from central.learn.ssl.train import Run
from central.learn.start import read_pack, weights_from
from edge.runtime import packs
from export import checkpoint
from export.prototypes import choose


@torch.no_grad()
def found_again(trunk: Trunk, batches: Iterable[Batch], level: int = 1) -> float:
    """Return the share of cells of one crop whose nearest cell of another crop of the frame is at most one cell away
    from where the same place is (C-T4). Cells that the other crop does not show do not count."""
    stride, hits, count = STRIDES[level], 0, 0
    for batch in batches:
        assert batch.first is not None and batch.second is not None  # asked for
        assert batch.first_map is not None and batch.second_map is not None
        one, other = (F.normalize(trunk(x).levels[level].flatten(2), dim=1) for x in (batch.first, batch.second))
        height, width = batch.first.shape[2] // stride, batch.first.shape[3] // stride
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres = (torch.stack((x, y), -1).reshape(-1, 2).float() + 0.5) * stride
        for b in range(len(one)):
            back = torch.linalg.inv(batch.first_map[b, :, :2]) @ (centres - batch.first_map[b, :, 2]).T
            there = (batch.second_map[b, :, :2] @ back).T + batch.second_map[b, :, 2]
            inside = ((there >= 0) & (there < torch.tensor([width, height]) * stride)).all(1)
            nearest = (one[b].T @ other[b]).argmax(1)
            away = (centres[nearest] - there).abs().amax(1) / stride
            hits += int((away[inside] <= 1.0).sum())
            count += int(inside.sum())
    return hits / max(count, 1)


def judged(stock: Stock, side: int, count: int, seed: int = 3) -> list[Batch]:
    """Return `count` pairs of crops of frames of `stock`, in batches."""
    stream = Stream(stock, None, Needs(views=True), (side, side), count, seed)
    return [collate([stream[i] for i in range(at, min(count, at + 16))]) for at in range(0, count, 16)]


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Return the probability that one of `positive` scores higher than one of `negative`; ties count half."""
    higher = (positive[:, None] > negative[None]).mean() + 0.5 * (positive[:, None] == negative[None]).mean()
    return float(higher)


def embeddings(trunk: Trunk, pixels: Sequence[NDArray[np.uint8]], fit: Sequence[NDArray[np.uint8]] | None) -> Tensor:
    """Return embeddings ``[N, D]`` of `pixels` by the trunk's head, or by one fitted to `fit`."""
    points = settle.means(trunk.backbone, pixels)
    head: EmbeddingHead = trunk.embedding
    if fit is not None:
        head = EmbeddingHead(points.shape[1], trunk.config.embedding)
        settle.fit_embedding(head, settle.means(trunk.backbone, fit))
    with torch.no_grad():
        return F.normalize(head.project(points[:, :, None, None]).flatten(1), dim=1)


def novelty(learned: Tensor, seen: Tensor, unseen: Tensor) -> float:
    """Return how well the distance to the nearest prototype of `learned` tells `unseen` frames from `seen` ones."""
    prototypes = choose(np.asarray(learned.numpy(), np.float32))
    far = [1 - (np.asarray(p.numpy(), np.float64) @ prototypes.T).max(axis=1) for p in (unseen, seen)]
    return auroc(*far)


def collapse(run: Run) -> dict[str, Any]:
    """Return C-T1 of a finished `run`: spread of its embedding, and the loss of who always predicts the same."""
    batch = next(iter(judged(run.stock, run.config.model.height, 64)))
    assert batch.first is not None and batch.second is not None
    rows = [row for row in run.history if row["step"] >= 200]
    answer: dict[str, Any] = {
        key: min(row[key] for row in rows if key in row)
        for key in ("rank", *(f"spread.{name}" for name in run.config.pretexts)) if any(key in row for row in rows)
    }  # fmt: skip
    byol: Any = dict(run.teacher.named()).get("byol")
    if byol is not None:
        with torch.no_grad():
            targets = byol.project(run.teacher.trunk.train()(batch.second).features[2].mean((2, 3)))
        mean = F.normalize(targets, dim=1).mean(0)
        answer["constant_loss"] = float(2 - 2 * mean.norm())
        answer["loss"] = float(rows[-1].get("loss.byol", float("nan"))) if rows else float("nan")
    return answer


def same_bits(trunk: Trunk, folder: Path, pixels: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether the embeddings of `trunk` are bit-identical after the way into a pack and back (C-T5)."""
    before = packing.embedded(trunk, pixels)
    out = folder / "again.wpack"
    packing.alone(trunk, out, "again", pixels)
    again = Trunk(trunk.config)
    checkpoint.load_into(again, read_pack(packs.find(str(out), folder / "opened"))[1])
    return bool(torch.equal(before, packing.embedded(again.eval(), pixels)))


def things(folder: Path, coco: Path, images: Path) -> float:
    """Return AP50, 0..1, of the head in the run folder `folder` on the objects of `coco`, all of one class."""
    config = msgspec.json.decode((folder / "config.json").read_bytes(), type=SslConfig).model
    weights = weights_from(str(folder), config.labels)
    one = {k: v[:1] if k.startswith("detect.classes.") else v for k, v in weights.items()}
    network = build(msgspec.structs.replace(config, labels=("thing",)))
    checkpoint.load_into(network, one, strict=False)
    labels = tuple(truths.read(coco).labels)
    examples = [
        replace(e, classes=np.zeros_like(e.classes), complete=np.ones(1, np.bool_)) for e in load(coco, images, labels)
    ]
    return measure(detect(network.eval(), examples, torch.device("cpu")), ("thing",)).ap50
