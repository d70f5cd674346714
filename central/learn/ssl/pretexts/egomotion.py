"""How a camera shook, turned or zoomed from one frame to the next: what a camera that stays in its place can learn.

    maps of two frames -> motion of each cell and how sure it is -> weighted least squares -> similarity or homography
    -> the second frame's maps warped by it -> the rest of the motion, the same way

Taught by real frames warped in known ways (free truth), and by neighbours of a clip, whose photometric error after
warping is to fall below that of leaving them as they are; the lesser of both counts, so that traffic does not pull.
"""

from __future__ import annotations

from math import pi
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from central.learn.models.config import STRIDES
from central.learn.ssl import Needs, Pretext, Scene, Shape, Trunk
from central.learn.ssl.geometry import by_clip, homography, photometric, precise, warp
from central.learn.ssl.geometry.matching import Matcher

CELL = STRIDES[0]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a camera may move between two frames, and how its motion is fitted."""

    shift: Annotated[float, Meta(gt=0, le=64)] = 8.0
    """Largest synthetic shift each way, pixels of the view."""
    turn: Annotated[float, Meta(ge=0, le=45)] = 2.0
    """Degrees."""
    zoom: Annotated[float, Meta(ge=0, le=0.5)] = 0.02
    """Share."""
    kind: homography.Kind = "similarity"
    rounds: Annotated[int, Meta(ge=1, le=4)] = 2
    """Estimates, each of what the one before left."""
    radius: Annotated[int, Meta(ge=1, le=8)] = 2
    """Cells of 8 pixels that are looked around."""
    photometric: Annotated[float, Meta(ge=0)] = 1.0
    """Weight of the photometric part, against corners in cells."""


class Pair(NamedTuple):
    """Frames before and after, ``[B, 3, H, W]`` 0..255, and the homography ``[B, 3, 3]`` from the one to the other."""

    before: Tensor
    after: Tensor
    truth: Tensor


class Round(NamedTuple):
    """One estimate."""

    found: Tensor
    """``[B, 3, 3]``, pixels to pixels."""
    given: Tensor
    """The one before."""
    flow: Tensor
    """``[B, N, 2]`` pixels that each cell moves beyond `given`; cells in rows."""


def centres(height: int, width: int, like: Tensor) -> Tensor:
    """Return the pixels ``[1, N, 2]`` at the middle of the cells of maps of that size."""
    return warp.grid(height, width, like).reshape(1, -1, 2) * CELL + (CELL - 1) / 2


def shaken(frames: Tensor, options: Options, random: torch.Generator) -> Pair:
    """Return `frames` ``[B, 3, H, W]`` (0..255) and what they look like after known motions, brightness and noise."""
    count, _, height, width = frames.shape
    draw = torch.rand(count, 6, generator=random).to(frames.device) * 2 - 1
    truth = homography.similarity(
        draw[:, :2] * options.shift, draw[:, 2] * options.turn * pi / 180, 1 + draw[:, 3] * options.zoom, height, width
    )
    before = frames.float()
    after = warp.sample(before, warp.transformed(torch.linalg.inv(truth), height, width))
    after = after * (1 + 0.1 * draw[:, 4, None, None, None]) + 8 * draw[:, 5, None, None, None]
    noise = torch.randn(after.shape, generator=random).to(frames.device) * 2
    return Pair(before, (after + noise).clamp(0, 255), truth)


class Egomotion(Pretext):
    """On the first two frames of each clip."""

    name = "egomotion"
    needs = Needs(clip=2, pace=0.1)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.match = Matcher(shape.neck, 3, options.radius)
        self._error = self._identity = 0.0

    def estimate(self, before: Tensor, after: Tensor) -> list[Round]:
        """Return the motion between maps ``[B, C, h, w]`` at stride 8 after each round; the last one is the answer."""
        count, _, height, width = before.shape
        pixels = centres(height, width, before).expand(count, -1, -1)
        to_cells = before.new_tensor(((1 / CELL, 0, (1 / CELL - 1) / 2), (0, 1 / CELL, (1 / CELL - 1) / 2), (0, 0, 1)))
        total, found = torch.eye(3, device=before.device).expand(count, -1, -1), []
        for _ in range(self.options.rounds):
            inner = to_cells.float() @ total @ torch.linalg.inv(to_cells.float())
            places = warp.transformed(inner.detach(), height, width)
            out = self.match(before, warp.sample(after, places).to(before.dtype)).float()
            with precise(out):
                flow = out[:, :2].flatten(2).transpose(1, 2) * CELL
                sure = torch.sigmoid(out[:, 2]).flatten(1) * warp.inside(places, height, width).flatten(1) + 1e-4
                rest = homography.fit(pixels, pixels + flow, sure, self.options.kind)
                given, total = total.detach(), homography.scaled(total.detach() @ rest)
            found.append(Round(total, given, flow))
        return found

    def motion(self, trunk: Trunk, before: Tensor, after: Tensor) -> list[Round]:
        """Return what each round makes of the frames ``[B, 3, H, W]``, 0..255."""
        level = trunk(torch.cat((before, after))).levels[0]
        return self.estimate(*level.chunk(2))

    def taught(self, rounds: list[Round], truth: Tensor) -> Tensor:
        """Return the corner error of `rounds` and the error of the motion of each cell, in cells, a scalar."""
        height, width = self.shape.height, self.shape.width
        pixels = centres(height // CELL, width // CELL, truth).expand(len(truth), -1, -1)
        total = truth.new_zeros(())
        for one in rounds:
            rest = torch.linalg.inv(one.given) @ truth
            apart = (one.flow - (warp.moved(rest, pixels) - pixels)).abs().mean()
            total = total + apart + homography.corner_error(one.found, truth, height, width).mean()
        return total / len(rounds) / CELL

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the corner error of synthetic motions, in cells, and the photometric error of real ones."""
        height, width = self.shape.height, self.shape.width
        clip = by_clip(scene.images("clip"), len(scene.batch.frame))
        pair = shaken(clip[:, 0], self.options, scene.random)
        estimates = self.motion(scene.trunk, pair.before, pair.after)
        still = torch.eye(3, device=clip.device).expand(len(clip), -1, -1)
        self._error = float(homography.corner_error(estimates[-1].found.detach(), pair.truth, height, width).mean())
        self._identity = float(homography.corner_error(still, pair.truth, height, width).mean())
        total = self.taught(estimates, pair.truth)
        if self.options.photometric:
            maps = by_clip(scene.student("clip").levels[0], len(clip))
            found = self.estimate(maps[:, 0], maps[:, 1])[-1].found
            total = total + self.options.photometric * self.photometric(clip[:, 0], clip[:, 1], found)
        return total

    @staticmethod
    def photometric(before: Tensor, after: Tensor, found: Tensor) -> Tensor:
        """Return the error of `after` brought back by `found`, or left where that explains a pixel better; a scalar."""
        with precise(found):
            first, second = (F.avg_pool2d(x.float() / 255, 2) for x in (before, after))
            # half size: pixel p of the frame is (p - 0.5) / 2 here
            halve = found.new_tensor(((0.5, 0, -0.25), (0, 0.5, -0.25), (0, 0, 1)))
            places = warp.transformed(halve @ found @ torch.linalg.inv(halve), *first.shape[2:])
            warped = photometric.error(first, warp.sample(second, places))
            return torch.minimum(warped, photometric.error(first, second)).mean()

    def watched(self) -> dict[str, float]:
        """Return the mean corner error of synthetic motions and that of "no motion", pixels."""
        return {"egomotion_px": self._error, "egomotion_identity_px": self._identity}


PRETEXT = Egomotion
