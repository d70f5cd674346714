"""What a large network makes of the view, place by place: the shortest way to good features for a small one.

The teacher is any vision backbone of Transformers, by folder or hub name (DINOv2, ViT, ConvNeXt, Swin ...). It stays as
it is, is no part of the run's weights, and never leaves the centre. A 1 x 1 layer leads from our cells to its tokens.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, ClassVar, Final, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape
from central.learn.ssl.layers import distance

LEVEL: Final = 1
"""Of the neck: stride 16, about the patch of most teachers."""
SPARE: Final = 16
"""The most tokens that are no places (class, registers) which a teacher puts before its others."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who teaches, and how it is compared."""

    model: str = ""
    """Folder or hub name."""
    distance: Literal["cosine", "mse"] = "cosine"


class Frozen:
    """A network of Transformers outside the run's weights; a copy of it is itself."""

    def __init__(
        self, network: nn.Module, mean: tuple[float, ...], deviation: tuple[float, ...], factor: float
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.mean, self.deviation, self.factor = mean, deviation, factor
        config: Any = network.config
        patch = getattr(config, "patch_size", None) or 32
        self.patch = int(patch if isinstance(patch, int) else patch[0])
        sizes = getattr(config, "hidden_sizes", None) or (getattr(config, "hidden_size", None),)
        self.width = int(sizes[-1] or 0)

    def __deepcopy__(self, memo: Any) -> Frozen:
        return self

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Return the teacher's features ``[B, D, h, w]`` of `images` ``[B, 3, H, W]``, RGB 0..255."""
        self.network.to(images.device)
        b, _, height, width = images.shape
        size = [max(1, round(side / self.patch)) * self.patch for side in (height, width)]
        scaled = F.interpolate(images.float(), size=size, mode="bilinear", antialias=True) * self.factor
        mean, deviation = (scaled.new_tensor(v)[:, None, None] for v in (self.mean, self.deviation))
        options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in names(self.network) else {}
        found: Tensor = self.network(pixel_values=(scaled - mean) / deviation, **options).last_hidden_state
        if found.ndim == 4:
            return found
        rows, columns = grid(found.shape[1], size[0], size[1], self.patch)
        return found[:, -rows * columns :].transpose(1, 2).reshape(b, -1, rows, columns)


def names(network: nn.Module) -> tuple[str, ...]:
    """Return the names of what the forward pass of `network` takes."""
    return tuple(inspect.signature(network.forward).parameters)


def grid(tokens: int, height: int, width: int, patch: int) -> tuple[int, int]:
    """Return how many rows and columns the last of `tokens` form, of an image of `height` x `width` pixels.

    Cells are patches, or larger by a power of two (hierarchical networks). Raises PretextError.
    """
    for stride in (patch * 2**i for i in range(5)):
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        if 0 <= tokens - rows * columns <= SPARE and rows * columns > 0:
            return rows, columns
    raise PretextError(f"the teacher's {tokens} tokens of an image of {height}x{width} form no grid")


def opened(model: str) -> Frozen:
    """Return the teacher at `model`. Raises PretextError where there is none or it does not see."""
    from central.learn.teachers import TeacherError, hub  # here: only who distils needs Transformers

    if not model:
        raise PretextError("pretext 'distil': give its teacher, a folder or hub name, as the option 'model'")
    try:
        network, wants = hub.load("AutoModel", model)
    except TeacherError as error:
        raise PretextError(f"pretext 'distil': {error}") from None
    frozen = Frozen(getattr(network, "vision_model", network), wants.mean, wants.deviation, wants.factor)
    if getattr(frozen.network, "main_input_name", "pixel_values") != "pixel_values" or not frozen.width:
        raise PretextError(f"pretext 'distil': {model} is no vision backbone; DINOv2, ViT or ConvNeXt are")
    return frozen


class Distil(Pretext):
    """From the deepest features of the backbone and from the middle level of the neck, half each."""

    name = "distil"
    needs = Needs(views=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.source = opened(options.model)
        self.deep = nn.Conv2d(shape.widths[2], self.source.width, 1)
        self.fine = nn.Conv2d(shape.neck, self.source.width, 1)

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the mean over places of the distance, 0..4, or of the squared error."""
        wanted = self.source.tokens(scene.images("first"))
        seen = scene.student("first")
        parts = [
            compared(said, wanted, self.options.distance)
            for said in (self.deep(seen.features[2]), self.fine(seen.levels[LEVEL]))
        ]
        return (parts[0] + parts[1]) / 2


def compared(said: Tensor, wanted: Tensor, how: str) -> Tensor:
    """Return the mean ``cosine`` distance, or ``mse``, of ``[B, D, h, w]``, resized, from ``[B, D, H, W]``."""
    said = F.interpolate(said, size=wanted.shape[2:], mode="bilinear", align_corners=False)
    if how == "mse":
        return F.mse_loss(said, wanted.detach())
    return distance(said.movedim(1, -1), wanted.movedim(1, -1)).mean()


PRETEXT = Distil
