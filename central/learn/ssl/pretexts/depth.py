"""Depth of each pixel and the way of a camera that moves, from its video alone.

    maps of a frame -> disparity at four scales -> depth ──┐
    maps of two frames -> turn and way of the camera ──────┴-> neighbours looked up where each pixel would be there
                                                            -> photometric error, edge-aware smoothness

The equations of Zhou et al. (CVPR 2017) with the photometric error of Godard et al. (CVPR 2017). `sources="least"`
(each pixel by the neighbour that explains it best) and `automask` (pixels that the unwarped neighbour explains better
are left out) are off unless asked for: both are published, and may be patented where they are to be sold.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from central.learn.ssl import Material, Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.geometry import by_clip, disparity, guard, photometric, precise, projection, smoothness
from central.learn.ssl.geometry.matching import Matcher

FRAMES = 3
MIDDLE = 1
SOURCES = (0, 2)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The camera, and what the loss is made of."""

    focal: Annotated[float, Meta(gt=0.1, le=10)] = 1.0
    """Focal length as a share of the view's width; 1 sees 53 degrees across."""
    learn_focal: bool = False
    """Whether it is learned, starting from `focal`; turning cameras tell it, those that drive straight on do not."""
    near: Annotated[float, Meta(gt=0)] = 0.1
    far: Annotated[float, Meta(gt=0)] = 100.0
    """Range of depth, in a unit of its own: only ratios are seen by one camera."""
    alpha: Annotated[float, Meta(ge=0, le=1)] = photometric.ALPHA
    smooth: Annotated[float, Meta(ge=0)] = 1e-3
    """Weight of smoothness at the finest scale; half of it at each coarser one."""
    sources: Literal["mean", "least"] = "mean"
    automask: bool = False


def explained(target: Tensor, views: list[Tensor], still: list[Tensor], options: Options) -> Tensor:
    """Return the photometric loss of one scale, a scalar.

    `views`: each source as it would look from the target, ``[B, 3, H, W]``; `still`: the sources as they are. What
    leaves a source's view is compared with its border: were it left out, flying away would be the best motion.
    """
    over = photometric.least_of if options.sources == "least" else photometric.mean_of
    error = over([photometric.error(view, target, options.alpha) for view in views])
    if not options.automask:
        return error.mean()
    mask = photometric.kept(error, over([photometric.unmoved(target, image, options.alpha) for image in still]))
    return (error * mask).sum() / mask[:, 0].numel()


class Depth(Pretext):
    """Of the middle of three frames, from the one before and the one after."""

    name = "depth"
    needs = Needs(clip=FRAMES, pace=0.1)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.decode = disparity.Decoder(shape.neck)
        self.compare = Matcher(shape.neck, 16, 2)
        self.way = nn.Sequential(
            nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), nn.Linear(16 * 12, 64), nn.ReLU(), nn.Linear(64, 6)
        )
        self.focal = nn.Parameter(torch.tensor(float(options.focal)).log(), requires_grad=options.learn_focal)
        self._kept = self._error = self._moved = 0.0

    def check(self, material: Material) -> None:
        """Raise PretextError where the cameras do not move from place to place: depth would be made up."""
        clips = material.clips(guard.CLIPS, 2, self.needs.pace)
        why = guard.refusal(clips)
        if why:
            raise PretextError(f"pretext 'depth': {why}")

    def camera(self, count: int) -> Tensor:
        """Return K ``[count, 3, 3]`` in pixels of the views."""
        focal = (self.focal.float().exp() * self.shape.width).expand(count)
        return projection.intrinsics(focal, self.shape.height, self.shape.width)

    def motion(self, target: Tensor, source: Tensor) -> Tensor:
        """Return T ``[B, 3, 4]`` from the camera of maps `target` ``[B, C, h, w]`` to that of `source`."""
        vector = self.way(self.compare(target, source)).float() * 0.01
        return projection.motion(vector)

    def disparities(self, levels: list[Tensor], images: Tensor) -> list[Tensor]:
        """Return the sigmoids of all scales at full size, of `images` ``[B, 3, H, W]`` 0..1 and their levels."""
        return disparity.enlarged(self.decode(levels, images), *images.shape[2:])

    def rebuilt(
        self, images: Tensor, disparities: list[Tensor], motions: list[Tensor], sources: list[Tensor]
    ) -> Tensor:
        """Return the loss of the target `images` ``[B, 3, H, W]`` (0..1) seen from `sources` by way of `motions`."""
        options, k, total = self.options, self.camera(len(images)), images.new_zeros(())
        for scale, sigmoid in enumerate(disparities):
            depth = disparity.depth(sigmoid, options.near, options.far)
            views = [projection.seen_from(s, depth, k, m)[0] for s, m in zip(sources, motions, strict=True)]
            total = total + explained(images, views, sources, options)
            total = total + options.smooth / 2**scale * smoothness.first_order(smoothness.relative(sigmoid), images)
        return total / len(disparities)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return photometric error and smoothness, the mean over scales."""
        count = len(scene.batch.frame)
        clip = by_clip(scene.images("clip"), count).float() / 255
        levels = [by_clip(level, count) for level in scene.student("clip").levels]
        target = [level[:, MIDDLE] for level in levels]
        motions = [self.motion(levels[1][:, MIDDLE], levels[1][:, i]) for i in SOURCES]
        with precise(clip):
            found = self.disparities(target, clip[:, MIDDLE])
            loss = self.rebuilt(clip[:, MIDDLE], found, motions, [clip[:, i] for i in SOURCES])
            with torch.no_grad():
                self._watch(clip, found[0], motions, loss)
        return loss

    def _watch(self, clip: Tensor, sigmoid: Tensor, motions: list[Tensor], loss: Tensor) -> None:
        depth = disparity.depth(sigmoid, self.options.near, self.options.far)
        view, _ = projection.seen_from(clip[:, SOURCES[1]], depth, self.camera(len(clip)), motions[1])
        warped = photometric.error(view, clip[:, MIDDLE])
        still = photometric.error(clip[:, SOURCES[1]], clip[:, MIDDLE])
        unmoved = photometric.unmoved(clip[:, MIDDLE], clip[:, SOURCES[1]])
        self._kept = float(photometric.kept(warped, unmoved).float().mean())
        self._error = float(warped.mean() / still.mean().clamp_min(1e-6))
        self._moved = float(motions[1][:, :, 3].norm(dim=1).mean() / depth.median().clamp_min(1e-6))

    def watched(self) -> dict[str, float]:
        """Return the share of pixels that depth and motion explain better than none, the error against that of none,
        and the camera's way in median depths."""
        return {"depth_kept": self._kept, "depth_error": self._error, "depth_way": self._moved}


PRETEXT = Depth
