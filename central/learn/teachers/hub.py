"""What teachers of Transformers share: opening a model by path or hub name, and preparing images without torchvision.

How an image is prepared is read from the model's ``preprocessor_config.json``; the work is done by OpenCV, as the
library's own processors need torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor

from central.learn.models.detr import faults, library
from central.learn.teachers import TeacherError
from edge.runtime import Float
from edge.runtime.prepare import Image

SHORT: Final = 800
LONG: Final = 1333
"""Pixels: the sides that DETR-like models without a stated size were trained at."""
GREY: Final = 128
"""What a square is filled up with."""


@dataclass(frozen=True)
class Preparation:
    """How a model wants its images. `height` and `width` fixed, or `short` and `long` sides at most; pixels."""

    height: int | None = None
    width: int | None = None
    short: int = SHORT
    long: int = LONG
    square: bool = False
    """Whether the image is filled up to a square, at the right or below, before it is resized."""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)
    factor: float = 1 / 255

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that an image of `height` x `width` gets."""
        if self.height and self.width:
            return self.height, self.width
        scale = min(self.short / min(height, width), self.long / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def __call__(self, image: Image) -> tuple[Tensor, Float]:
        """Return the input ``[1, 3, h, w]`` of a BGR `image`, and the factor ``[4]`` of its relative boxes xyxy."""
        height, width = image.shape[:2]
        if self.square:
            side = max(height, width)
            image = np.asarray(
                cv2.copyMakeBorder(
                    image, 0, side - height, 0, side - width, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY)
                ),
                np.uint8,
            )
            height = width = side
        rows, columns = self.size(height, width)
        resized = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        pixels = (resized[:, :, ::-1].astype(np.float32) * np.float32(self.factor) - mean) / deviation
        tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
        return tensor, np.array([width, height, width, height], np.float32)


def preparation(given: dict[str, Any]) -> Preparation:
    """Return what a ``preprocessor_config.json`` asks for; what it does not say is at its default."""
    size = given.get("size") or {}
    if isinstance(size, int):
        size = {"shortest_edge": size}
    fixed = {name: int(size[name]) for name in ("height", "width") if size.get(name)}
    normal = given.get("do_normalize", False)
    return Preparation(
        fixed.get("height"), fixed.get("width"),
        int(size.get("shortest_edge") or SHORT), int(size.get("longest_edge") or LONG),
        square=bool(given.get("do_pad")) and "owlv2" in str(given.get("image_processor_type", "")).lower(),
        mean=tuple(given.get("image_mean") or (0, 0, 0)) if normal else (0.0, 0.0, 0.0),
        deviation=tuple(given.get("image_std") or (1, 1, 1)) if normal else (1.0, 1.0, 1.0),
        factor=float(given.get("rescale_factor", 1 / 255)) if given.get("do_rescale", True) else 1.0,
    )  # fmt: skip


def load(kind: str, model: str) -> tuple[Any, Preparation]:
    """Return the network at `model` (a class of Transformers called `kind`, safetensors only) and its preparation.

    Raises TeacherError.
    """
    hub = library()
    try:
        network = getattr(hub, kind).from_pretrained(model, use_safetensors=True).eval()
    except faults() as error:
        why = " ".join(str(error).split())[:300]
        raise TeacherError(f"{model}: cannot be opened ({why}); give a folder or a hub name") from None
    try:
        told, _ = hub.image_processing_utils.BaseImageProcessor.get_image_processor_dict(model)
    except (OSError, ValueError):
        told = {}
    return network, preparation(told)


def corners(relative: Tensor, scale: Float) -> Float:
    """Return boxes ``[Q, 4]`` xyxy in pixels of the image from relative cxcywh ``[Q, 4]``, cut to the image."""
    cx, cy, width, height = relative.float().cpu().numpy().T
    boxes = np.stack((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), 1)
    return np.asarray(boxes.clip(0, 1) * scale, np.float32)
