"""What moves, and where to: motion mask and flow of cells, from the features of two frames.

The teacher is OpenCV's dense flow. With `photometric` above 0 the flow also has to explain the next frame by itself:
the census of the warped frame where it is not hidden, and second-order smoothness, as UnFlow (Meister et al., AAAI
2018) and ARFlow (Liu et al., CVPR 2020) do.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from central.learn.models.config import STRIDES
from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.geometry import by_clip, photometric, precise, smoothness, warp
from central.learn.ssl.geometry.flow import hidden
from central.learn.ssl.geometry.matching import Matcher

CELL = STRIDES[0]
MOVING_PX: Final = 1.0
"""A cell that flows further than this between two frames moves: the teacher is sure to about half a pixel."""
HALF = 4
"""Cells grow by this for the photometric part: to half the size of the frames, which costs a quarter."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far things are looked for, and what the loss is made of."""

    radius: Annotated[int, Meta(ge=1, le=8)] = 4
    """Cells of 8 pixels."""
    taught: Annotated[float, Meta(ge=0)] = 1.0
    """Weight of the teacher's flow."""
    mask: Annotated[float, Meta(ge=0)] = 1.0
    """Weight of the motion mask."""
    photometric: Annotated[float, Meta(ge=0)] = 0.0
    smooth: Annotated[float, Meta(ge=0)] = 10.0
    """Weight of smoothness within the photometric part."""


def balanced(logit: Tensor, truth: Tensor) -> Tensor:
    """Return the cross entropy with what moves and what does not at half the weight each."""
    losses = F.binary_cross_entropy_with_logits(logit, truth.float(), reduction="none")
    parts = [losses[side].mean() for side in (truth, ~truth) if side.any()]
    return torch.stack(parts).mean()


def taught_error(flow: Tensor, truth: Tensor, moving: Tensor) -> Tensor:
    """Return the mean end-point error of cells ``[N, 2, h, w]``, in cells; those `moving` and the rest by halves."""
    apart = ((flow - truth).square().sum(1, keepdim=True) + 1e-4).sqrt()
    parts = [apart[side].mean() for side in (moving, ~moving) if side.any()]
    return torch.stack(parts).mean()


class Flow(Pretext):
    """Between neighbours of a clip, forwards; backwards too where the photometric part wants it."""

    name = "flow"
    needs = Needs(clip=2, pace=0.1, flow=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.match = Matcher(shape.neck, 3, options.radius)
        self._error = self._still = self._found = 0.0

    def between(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return flow ``[N, 2, h, w]`` in cells and the logit of motion ``[N, 1, h, w]`` from maps at stride 8."""
        out = self.match(a, b).float()
        return out[:, :2] * self.options.radius, out[:, 2:]

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the weighted sum of the parts, over the first pair of each clip."""
        count = len(scene.batch.frame)
        clip = by_clip(scene.images("clip"), count)[:, :2]
        maps = by_clip(scene.student("clip").levels[0], count)
        flow, logit = self.between(maps[:, 0], maps[:, 1])
        if scene.batch.flow is None:
            raise PretextError("pretext 'flow': needs the flow of its clips")
        truth = scene.batch.flow[:, 0].float() / CELL
        moving = truth.norm(dim=1, keepdim=True) * CELL > MOVING_PX
        with torch.no_grad():
            self._watch(flow, logit, truth, moving)
        total: Tensor = self.options.mask * balanced(logit, moving)
        total = total + self.options.taught * taught_error(flow, truth, moving)
        if self.options.photometric:
            backward, _ = self.between(maps[:, 1], maps[:, 0])
            total = total + self.options.photometric * self.photometric(clip, flow, backward)
        return total

    def photometric(self, clip: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        """Return how badly `forward` ``[B, 2, h, w]`` (cells) explains the clip's frames ``[B, 2, 3, H, W]``."""
        with precise(forward):
            images = by_clip(F.avg_pool2d(clip.flatten(0, 1).float() / 255, CELL // HALF), len(clip))
            grown = [
                F.interpolate(f, scale_factor=float(HALF), mode="bilinear", align_corners=False) * HALF
                for f in (forward, backward)
            ]
            seen = ~hidden(grown[0].detach(), grown[1].detach())
            warped = warp.sample(images[:, 1], warp.flowed(grown[0]))
            error = (photometric.census(images[:, 0], warped) * seen).sum() / seen.sum().clamp_min(1)
            small = F.avg_pool2d(images[:, 0], HALF)
            total: Tensor = error + self.options.smooth * smoothness.second_order(forward, small)
            return total

    def _watch(self, flow: Tensor, logit: Tensor, truth: Tensor, moving: Tensor) -> None:
        if not moving.any():
            return
        self._error = float((flow - truth).norm(dim=1, keepdim=True)[moving].mean()) * CELL
        self._still = float(truth.norm(dim=1, keepdim=True)[moving].mean()) * CELL
        both = ((logit > 0) & moving).sum() / ((logit > 0) | moving).sum().clamp_min(1)
        self._found = float(both)

    def watched(self) -> dict[str, float]:
        """Return the end-point error of what moves and that of "nothing moves", pixels, and the mask's IoU."""
        return {"flow_px": self._error, "flow_zero_px": self._still, "flow_mask_iou": self._found}


PRETEXT = Flow
