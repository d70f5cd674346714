"""Learning without labels: pretexts give the trunk (backbone and neck) something to solve on a site's own frames.

    frames -> material: de-duplicated, with boxes of what moves -> views -> Batch
    Batch -> Scene: what student and teacher see in it, each view passed once -> Pretext.loss -> trunk

Each pretext is one file in ``pretexts/`` that binds ``PRETEXT`` to its class; a run combines any of them by weights.
The recipe of image and object together is ``{"byol": 1, "objects": 1}`` (and ``"distil": 1`` where there is a teacher).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

import msgspec
import torch
from torch import Tensor, nn

from central.learn.models.backbone import Backbone
from central.learn.models.config import SIZES, STRIDES, ModelConfig
from central.learn.models.heads import EmbeddingHead
from central.learn.models.neck import Neck
from central.learn.models.network import CONTRAST, ZERO
from protocols import slots

SLOT: Final = "central.learn.ssl.pretexts"
ATTRIBUTE: Final = "PRETEXT"
IMAGE_AND_OBJECT: Final = {"byol": 1.0, "objects": 1.0}
"""The recipe that a run follows unless it says otherwise."""

View = Literal["first", "second", "plain", "right", "clip", "scene"]
"""Fields of `Batch`; the frames of clips ``[B, T]`` go through a trunk as B * T images."""


class PretextError(ValueError):
    """A pretext that does not exist, or that cannot learn from what there is. The text says why and what to do."""


class Seen(NamedTuple):
    """What the trunk makes of images ``[B, 3, H, W]``."""

    features: list[Tensor]
    """Of the backbone, ``[B, widths[i], H/s, W/s]`` at the strides s of `STRIDES`: 8, 16, 32."""
    levels: list[Tensor]
    """After the neck, ``[B, neck, H/s, W/s]`` at the same strides."""


class Trunk(nn.Module):
    """Backbone and neck of a detector, and its embedding head, under the names that they have in `Network`.

    So weights go both ways between a run of self-supervision and one of detection, bit by bit.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = SIZES[config.size]
        self.config = config
        self.backbone = Backbone(size)
        self.neck = Neck(size.widths[1:], size.neck)
        self.embedding = EmbeddingHead(size.widths[3], config.embedding)
        self.fast = False
        """Whether to compute in bfloat16, for GPUs. What is seen is float32 all the same, so losses stay exact."""

    @staticmethod
    def normalised(images: Tensor) -> Tensor:
        """Return what the backbone works on, of `images` ``[..., 3, H, W]``, RGB 0..255 (uint8 or float)."""
        return (images.float() - ZERO) * (1 / CONTRAST)

    def forward(self, images: Tensor) -> Seen:
        """Return what is seen in `images` ``[B, 3, H, W]``, RGB 0..255; both sides are multiples of 32."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.fast):
            features = self.backbone(self.normalised(images))
            levels = self.neck(features)
        return Seen([f.float() for f in features], [level.float() for level in levels])


class Shape(NamedTuple):
    """What a pretext has to know in order to build its own layers."""

    widths: tuple[int, int, int]
    """Channels of `Seen.features`."""
    neck: int
    """Channels of `Seen.levels`."""
    height: int
    width: int
    """Of the views, pixels; multiples of 32."""
    embedding: int
    """Dimension D of the frame embedding."""
    head_blocks: int = 0
    """Blocks of each level of a detection head."""

    @classmethod
    def of(cls, config: ModelConfig, height: int, width: int) -> Shape:
        """Return the shape of a trunk as `config` says, for views of `height` x `width`."""
        size = SIZES[config.size]
        return cls((size.widths[1], size.widths[2], size.widths[3]), size.neck, height, width, config.embedding,
                   size.head_blocks)  # fmt: skip


class Needs(NamedTuple):
    """Which parts of a `Batch` a pretext works on; the others are not made unless another pretext wants them."""

    views: bool = False
    boxes: bool = False
    plain: bool = False
    clip: int = 0
    """Frames in a row; 0: none."""
    pace: float = 0.0
    """Seconds between the frames of a clip that it would like best; 0: every frame of the source."""
    stereo: bool = False
    flow: bool = False
    """Of the clip; costs more than the clip itself."""
    clean: bool = False
    """Whether views must not be blurred (pretexts that feed what judges blur)."""
    scene: bool = False
    """A scene with all boxes in it that are most likely whole things."""

    def __or__(self, other: object) -> Needs:
        """Return what both need; of two paces the first that is not 0."""
        if not isinstance(other, Needs):
            return NotImplemented
        return Needs(
            self.views or other.views, self.boxes or other.boxes, self.plain or other.plain,
            max(self.clip, other.clip), self.pace or other.pace, self.stereo or other.stereo, self.flow or other.flow,
            self.clean or other.clean, self.scene or other.scene,
        )  # fmt: skip


class Batch(NamedTuple):
    """B samples. Images are uint8 RGB; what no pretext needs is None.

    Two random crops of a frame (or of two frames of one camera, `gap` seconds apart) are its views; `maps` take
    places in the frame, (x, y) as shares 0..1 of its width and height, to pixels of the view: ``[B, 2, 3]``.
    """

    frame: Tensor
    """``[B]`` index of the frame in the material."""
    camera: Tensor
    """``[B]`` index of its camera."""
    first: Tensor | None = None
    """``[B, 3, H, W]``."""
    second: Tensor | None = None
    first_map: Tensor | None = None
    """``[B, 2, 3]``, float32."""
    second_map: Tensor | None = None
    gap: Tensor | None = None
    """``[B]`` seconds from the frame of `first` to that of `second`; 0: the same frame."""
    first_boxes: Tensor | None = None
    """``[B, K, 4]`` xyxy in pixels of the view: box k is the same thing in both views."""
    second_boxes: Tensor | None = None
    boxed: Tensor | None = None
    """``[B, K]`` bool: which boxes are there; the others are padding."""
    plain: Tensor | None = None
    """``[B, 3, H, W]`` the frame itself, scaled and cropped to the views' size, upright and in its own colours."""
    clip: Tensor | None = None
    """``[B, T, 3, H, W]`` T frames of one camera in the order of time, all cropped alike."""
    times: Tensor | None = None
    """``[B, T]`` seconds since the first frame of the clip."""
    moving: Tensor | None = None
    """``[B, T, 1, H/8, W/8]`` bool: cells of the clip in which something moves."""
    flow: Tensor | None = None
    """``[B, T-1, 2, H/8, W/8]`` (x, y) pixels of the view that each cell moves until the next frame."""
    right: Tensor | None = None
    """``[B, 3, H, W]`` what the right camera of a rectified pair sees where `plain` is the left one's."""
    rig: Tensor | None = None
    """``[B, 2]`` focal length in pixels of the view, baseline in metres."""
    scene: Tensor | None = None
    """``[B, 3, H, W]`` frames put together, changed as `central.learn.data.augment` does for detection."""
    scene_boxes: Tensor | None = None
    """``[B, M, 4]`` xyxy in pixels of the scene: what its frames' boxes show there, the largest M."""
    scene_boxed: Tensor | None = None
    """``[B, M]`` bool: which are there; the others are padding."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        moved = {n: t.to(device, non_blocking=True) for n, t in self._asdict().items() if t is not None}
        return Batch(**moved)


class Scene:
    """One batch as student and teacher see it: each view goes through each trunk at most once, however many ask."""

    def __init__(
        self, batch: Batch, student: Trunk, teacher: Trunk, step: int, steps: int, random: torch.Generator
    ) -> None:
        self.batch, self.trunk, self.teacher_trunk = batch, student, teacher
        self.step, self.steps = step, steps
        self.random = random
        """Seeded by run and step, on the CPU: draw from it, so that a resumed run draws the same."""
        self._student: dict[View, Seen] = {}
        self._teacher: dict[View, Seen] = {}

    def images(self, view: View) -> Tensor:
        """Return the images ``[B, 3, H, W]`` of `view`. Raises PretextError where the batch lacks them."""
        images: Tensor | None = getattr(self.batch, view)
        if images is None:
            raise PretextError(f"the batch has no {view!r} view; the pretext must name it in its needs")
        return images.flatten(0, 1) if view == "clip" else images

    def student(self, view: View) -> Seen:
        """Return what the student sees, with gradients."""
        if view not in self._student:
            self._student[view] = self.trunk(self.images(view))
        return self._student[view]

    def teacher(self, view: View) -> Seen:
        """Return what the teacher, the student's moving average, sees; without gradients."""
        if view not in self._teacher:
            with torch.no_grad():
                self._teacher[view] = self.teacher_trunk(self.images(view))
        return self._teacher[view]


class NoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a pretext that has nothing to choose."""


class Pretext(nn.Module):
    """A member of ``pretexts/``: its own layers, and the loss that they and the trunk learn from.

    The trainer keeps a moving average of every pretext as it does of the trunk, and hands it to `loss` as `teacher`;
    its weights have no gradient. Buffers (queues, centres) belong to the student: `after` changes them, they are stored
    with the run, and must not depend on anything but the batches seen.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs]
    Options: ClassVar[type[msgspec.Struct]] = NoOptions

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__()
        self.shape, self.options = shape, options

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the loss, a scalar. `teacher` is the moving average of this very pretext."""
        raise NotImplementedError

    def after(self, scene: Scene, teacher: Any) -> None:
        """Do what has to be done once the step is taken (queues, centres). Called without gradients."""

    def watched(self) -> dict[str, float]:
        """Return numbers of the last step worth a line in the run's history (for example accuracies)."""
        return {}

    def heads(self, classes: int) -> dict[str, Tensor]:
        """Return what a detector of so many `classes` may start from beside the trunk, by its names in `Network`."""
        return {}

    def check(self, material: Material) -> None:
        """Raise PretextError, saying why and what works instead, where nothing can be learned from `material`."""


class Material(Protocol):
    """What a pretext may look at before a run starts."""

    def clips(self, count: int, frames: int, pace: float) -> list[Any]:
        """Return up to `count` clips, each a list of BGR frames ``[H, W, 3]`` uint8 in the order of time."""
        ...


def members() -> dict[str, type[Pretext]]:
    """Return all pretexts by name."""
    return slots.members(SLOT, ATTRIBUTE)


def find(name: str) -> type[Pretext]:
    """Return the pretext called `name`. Raises PretextError, naming those that there are."""
    try:
        return slots.member(SLOT, ATTRIBUTE, name)  # type: ignore[no-any-return]
    except slots.SlotError as error:
        raise PretextError(str(error)) from None


def make(name: str, shape: Shape, options: dict[str, Any] | None = None) -> Pretext:
    """Return a fresh pretext. Raises PretextError where its name or one of `options` is unknown."""
    kind = find(name)
    try:
        chosen = msgspec.convert(options or {}, kind.Options)
    except msgspec.ValidationError as error:
        raise PretextError(f"pretext {name!r}: {error}") from None
    return kind(shape, chosen)


__all__ = [
    "IMAGE_AND_OBJECT", "STRIDES", "Batch", "Material", "Needs", "NoOptions", "Pretext", "PretextError", "Scene",
    "Seen", "Shape", "Trunk", "find", "make", "members",
]  # fmt: skip
