"""Disparity from a rectified pair of cameras: the cleanest signal of depth, in metres where the baseline is known.

Each picture is rebuilt from the other by its disparity; both disparities must agree where they see the same (Godard et
al., CVPR 2017, equations 2 to 5). Depth = focal length x baseline / disparity.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.geometry import disparity, photometric, precise, smoothness, warp


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How near things may be, and what the loss is made of."""

    largest: Annotated[float, Meta(gt=0, le=1)] = 0.3
    """Largest disparity as a share of the view's width."""
    alpha: Annotated[float, Meta(ge=0, le=1)] = photometric.ALPHA
    consistency: Annotated[float, Meta(ge=0)] = 1.0
    smooth: Annotated[float, Meta(ge=0)] = 1e-2


def shifted(image: Tensor, disparities: Tensor) -> tuple[Tensor, Tensor]:
    """Return `image` ``[B, C, H, W]`` looked up `disparities` ``[B, 1, H, W]`` pixels to the right, and where it is.

    The left picture is the right one looked up at minus its disparity, and the other way round at plus.
    """
    places = warp.flowed(torch.cat((disparities, torch.zeros_like(disparities)), 1))
    return warp.sample(image, places), warp.inside(places, *image.shape[2:])


class Stereo(Pretext):
    """On ``plain`` (left) and ``right``."""

    name = "stereo"
    needs = Needs(plain=True, stereo=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.decode = disparity.Decoder(shape.neck)
        self._error = self._agreed = 0.0

    def pixels(self, levels: list[Tensor], images: Tensor) -> list[Tensor]:
        """Return the disparities ``[B, 1, H, W]`` of all scales in pixels, of `images` ``[B, 3, H, W]`` 0..1."""
        found = disparity.enlarged(self.decode(levels, images), *images.shape[2:])
        return [sigmoid * self.options.largest * images.shape[3] for sigmoid in found]

    def depth(self, levels: list[Tensor], images: Tensor, rig: Tensor) -> Tensor:
        """Return the depth ``[B, 1, H, W]`` in metres of left `images`; `rig` ``[B, 2]``: focal length, baseline."""
        focal_baseline = (rig[:, 0] * rig[:, 1])[:, None, None, None]
        return focal_baseline / self.pixels(levels, images)[0].clamp_min(1e-3)

    def sides(self, scene: Scene) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return pictures 0..1 and disparities of left and right. The right one is seen in a mirror.

        In a mirror it is a left picture, so that one decoder serves both.
        """
        left, right = (scene.images(v).float() / 255 for v in ("plain", "right"))
        mirrored = scene.trunk(scene.images("right").flip(3))
        others = [d.flip(3) for d in self.pixels(mirrored.levels, right.flip(3))]
        return [left, right], [self.pixels(scene.student("plain").levels, left), others]

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return photometric error, disagreement of both sides (share of the width) and smoothness, over all scales."""
        if scene.batch.right is None:
            raise PretextError("pretext 'stereo': needs pairs of a rectified rig; one camera's video is for 'depth'")
        images, found = self.sides(scene)
        total = images[0].new_zeros(())
        with precise(images[0]):
            for scale, pair in enumerate(zip(*found, strict=True)):
                total = total + self.scale(images, list(pair), scale)
        return total / len(found[0])

    def scale(self, images: list[Tensor], pair: list[Tensor], scale: int) -> Tensor:
        """Return the loss of one scale, both sides."""
        options, total, width = self.options, images[0].new_zeros(()), images[0].shape[3]
        for mine, sign in ((0, -1), (1, 1)):
            view, seen = shifted(images[1 - mine], sign * pair[mine])
            error = photometric.error(view, images[mine], options.alpha)
            theirs, _ = shifted(pair[1 - mine], sign * pair[mine])
            agreed = (pair[mine] - theirs).abs() / width
            shown = seen.float()
            total = total + ((error + options.consistency * agreed) * shown).sum() / shown.sum().clamp_min(1)
            smooth = smoothness.first_order(smoothness.relative(pair[mine]), images[mine])
            total = total + options.smooth / 2**scale * smooth
            if not scale and not mine:
                still = photometric.error(images[1], images[0], options.alpha).mean()
                self._error = float((error.detach() * shown).sum() / shown.sum().clamp_min(1) / still.clamp_min(1e-6))
                self._agreed = float(agreed.detach().mean() * width)
        return total / 2

    def watched(self) -> dict[str, float]:
        """Return the photometric error against that of no disparity, and by how many pixels both sides disagree."""
        return {"stereo_error": self._error, "stereo_apart_px": self._agreed}


PRETEXT = Stereo
