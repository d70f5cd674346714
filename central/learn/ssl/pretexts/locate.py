"""Where things are: a detection head that knows one class, "something", learns the boxes that nobody drew.

    scene -> trunk -> detection head -> quality focal, distribution focal and GIoU losses against what moves

Bar et al., "DETReg: unsupervised pretraining with region priors for object detection", CVPR 2022, and Wang et al., "Cut
and learn for unsupervised object detection and instance segmentation" (CutLER), CVPR 2023, with boxes of a source that
mostly finds whole things: motion before fixed cameras, or a detector. A detector that starts from the run gets the
head too, each of its classes as "something".
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec
import torch
from torch import Tensor

from central.learn.data.dataset import Batch
from central.learn.detect.loss import detection_loss
from central.learn.models.heads import DetectHead
from central.learn.models.network import Raw, cells
from central.learn.ssl import Needs, Pretext, PretextError, Scene, Shape

TRUSTED: Final = 0.5
"""How much the network's own opinion of what is background counts with ``strict`` off."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made of places without a box."""

    strict: bool = True
    """Whether nothing is there; otherwise only where the network itself is sure of it."""


class Locate(Pretext):
    """On scenes."""

    name = "locate"
    needs = Needs(scene=True)
    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, shape: Shape, options: Any) -> None:
        super().__init__(shape, options)
        self.detect = DetectHead(shape.neck, 1, shape.head_blocks)
        self._found = 0.0

    def loss(self, scene: Scene, teacher: Any) -> Tensor:
        """Return the sum of the losses of detection."""
        images, boxes, boxed = scene.images("scene"), scene.batch.scene_boxes, scene.batch.scene_boxed
        if boxes is None or boxed is None:
            raise PretextError("the batch has a 'scene' view without its boxes")
        count, height, width = images.shape[0], images.shape[2], images.shape[3]
        logits, sides = self.detect(scene.student("scene").levels)
        whole = boxes.new_tensor([0.0, 0.0, width, height]).expand(count, 1, 4)
        complete = torch.full((count, 1, 1), self.options.strict, dtype=torch.bool, device=boxes.device)
        truth = Batch(images, boxes, boxed.long() - 1, boxed.float(), whole, complete)
        guess = None if self.options.strict else boxes.new_full((1,), TRUSTED)
        centres, strides = cells(height, width, boxes.device)
        losses, assigned = detection_loss(Raw(logits, sides, None, None, None), truth, centres, strides, guess)
        hit = assigned.matched >= 0
        self._found = float(assigned.overlap[hit].mean()) if bool(hit.any()) else 0.0
        return losses.total()

    def watched(self) -> dict[str, float]:
        """Return the mean IoU of what the cells in charge of a box said, and that box."""
        return {"overlap": self._found}

    def heads(self, classes: int) -> dict[str, Tensor]:
        """Return the head, with its one class in the place of each."""
        found = {}
        for name, tensor in self.detect.state_dict().items():
            alike = name.startswith("classes.")
            found[f"detect.{name}"] = tensor.repeat(classes, *[1] * (tensor.ndim - 1)) if alike else tensor.clone()
        return found


PRETEXT = Locate
