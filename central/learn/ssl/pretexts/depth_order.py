"""What is nearer: of two things on the ground, the one whose feet are lower. What a fixed camera can learn of depth.

Boxes come from motion or a detector. Each camera's boxes draw a line, height against row of the feet, through its
horizon (`central.learn.ssl.geometry.ground`); boxes off that line (cut, two in one, not on the ground) are left out.
Pairs are ranked: Burges et al., "RankNet" (ICML 2005).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.models.blocks import Conv
from central.learn.ssl import Needs, Pretext, Scene, Shape
from central.learn.ssl.geometry import ground, warp

CAMERAS: Final = 64
"""Cameras whose boxes are kept; others share their places."""
KEPT: Final = 64
"""Boxes kept of each camera."""
POINTS: Final = 4
"""A box is read at so many points each way."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an order is believed."""

    margin: Annotated[float, Meta(ge=0, le=0.5)] = 0.04
    """Feet nearer to each other than this share of the view's height say nothing."""


def upright(boxes: Tensor, maps: Tensor) -> Tensor:
    """Return rows (top, foot) of `boxes` ``[B, K, 4]`` as shares of the frame's height: ``[B, K, 2]``."""
    scale, shift = maps[:, 1, 1, None, None], maps[:, 1, 2, None, None]
    return (boxes[..., (1, 3)] - shift) / scale


def read(values: Tensor, boxes: Tensor) -> Tensor:
    """Return the mean of `values` ``[B, 1, h, w]`` at stride 8 in `boxes` ``[B, K, 4]`` (pixels): ``[B, K]``."""
    steps = (torch.arange(POINTS, device=boxes.device) + 0.5) / POINTS
    x = boxes[..., 0:1] + (boxes[..., 2:3] - boxes[..., 0:1]) * steps
    y = boxes[..., 1:2] + (boxes[..., 3:4] - boxes[..., 1:2]) * steps
    count, boxed = boxes.shape[:2]
    places = torch.stack((x[:, :, None].expand(-1, -1, POINTS, -1), y[..., None].expand(-1, -1, -1, POINTS)), -1)
    cells = (places.reshape(count, boxed, POINTS * POINTS, 2) - 3.5) / 8
    mean: Tensor = warp.sample(values, cells).mean(3)[:, 0]
    return mean


class DepthOrder(Pretext):
    """Boxes of the first view against each other."""

    name = "depth_order"
    needs = Needs(views=True, boxes=True)
    Options: ClassVar[type[msgspec.Struct]] = Options
    standing: Tensor
    counts: Tensor

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.near = nn.Sequential(Conv(shape.neck, shape.neck, 3), nn.Conv2d(shape.neck, 1, 1))
        self.register_buffer("standing", torch.zeros(CAMERAS, KEPT, 2))
        self.register_buffer("counts", torch.zeros(CAMERAS, dtype=torch.int64))
        self._right = 0.0

    def grounds(self, cameras: Tensor) -> dict[int, ground.Ground | None]:
        """Return the ground of each of `cameras` ``[B]`` as far as its boxes have shown it."""
        found = {}
        for camera in {int(c) % CAMERAS for c in cameras}:
            rows = self.standing[camera, : min(int(self.counts[camera]), KEPT)].double().cpu().numpy()
            boxes = np.zeros((len(rows), 4))
            boxes[:, (1, 3)] = rows
            found[camera] = ground.fit(boxes)
        return found

    def pairs(self, scene: Scene) -> Tensor:
        """Return which boxes are nearer than which: bool ``[B, K, K]``."""
        batch, rows = scene.batch, []
        if batch.first_boxes is None or batch.boxed is None or batch.first_map is None:
            return torch.zeros(len(batch.frame), 1, 1, dtype=torch.bool)
        known = self.grounds(batch.camera)
        standing = upright(batch.first_boxes, batch.first_map).double().cpu().numpy()
        height = self.shape.height
        for i, boxes in enumerate(batch.first_boxes.double().cpu().numpy()):
            order = ground.nearer(boxes, self.options.margin * height, height - 1.5)
            plane = known[int(batch.camera[i]) % CAMERAS]
            there = batch.boxed[i].cpu().numpy()
            if plane is not None:
                lines = np.zeros_like(boxes)
                lines[:, (1, 3)] = standing[i]
                there = there & plane.fits(lines)
            rows.append(order & there[:, None] & there[None])
        return torch.from_numpy(np.stack(rows))

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean logistic loss over pairs; ln 2 is chance."""
        values: Tensor = self.near(scene.student("first").levels[0]).float()
        boxes = scene.batch.first_boxes
        pairs = self.pairs(scene).to(values.device)
        if boxes is None or not pairs.any():
            return values.sum() * 0
        near = read(values, boxes.float())
        apart = (near[:, :, None] - near[:, None])[pairs]
        self._right = float((apart.detach() > 0).float().mean())
        return F.softplus(-apart).mean()

    def after(self, scene: Scene, teacher: Any) -> None:
        """Keep the boxes of each camera."""
        batch = scene.batch
        if batch.first_boxes is None or batch.boxed is None or batch.first_map is None:
            return
        rows = upright(batch.first_boxes.float(), batch.first_map)
        whole = batch.boxed & (batch.first_boxes[..., 3] < self.shape.height - 1.5) & (batch.first_boxes[..., 1] > 0.5)
        for i, camera in enumerate(int(c) % CAMERAS for c in batch.camera):
            for row in rows[i][whole[i]]:
                self.standing[camera, int(self.counts[camera]) % KEPT] = row
                self.counts[camera] += 1

    def watched(self) -> dict[str, float]:
        """Return the share of pairs in the right order."""
        return {"depth_order_right": self._right}


PRETEXT = DepthOrder
