"""A promptable segmenter as teacher: SAM, SAM 2 or EdgeTAM of the Transformers library, from a local folder.

Nothing is fetched: the folder is a person's, who has looked at its licence. Nodes never run it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from central.learn.discover.masks import Mask, MaskError
from edge.runtime import Float
from edge.runtime.prepare import Image

PADDED: Final = ("sam", "sam_hq")
"""Kinds that keep the shape of an image and pad it; the others stretch it."""
KINDS: Final = (*PADDED, "sam2", "edgetam", "sam2_video", "edgetam_video")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST: Final = 32
"""Boxes of one pass."""


class Segmenter:
    """The teacher, opened."""

    def __init__(self, model: Any, kind: str) -> None:
        self.model, self.padded = model.eval(), kind in PADDED
        self.side = int(model.config.vision_config.image_size) if self.padded else _side(model.config)

    def _prepare(self, image: Image) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return the input ``[1, 3, side, side]`` and the height and width that the image has in it."""
        height, width = image.shape[:2]
        scale = self.side / max(height, width)
        size = (round(height * scale), round(width * scale)) if self.padded else (self.side, self.side)
        resized = cv2.resize(image[:, :, ::-1], (size[1], size[0]), interpolation=cv2.INTER_AREA)
        mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
        given = np.zeros((self.side, self.side, 3), np.float32)
        given[: size[0], : size[1]] = (resized.astype(np.float32) / 255 - mean) / std
        return torch.from_numpy(given.transpose(2, 0, 1))[None], size

    @torch.no_grad()
    def masks(self, image: Image, boxes: Float) -> list[Mask]:
        """Return the mask of each box."""
        pixels, size = self._prepare(image)
        scale = np.array([size[1] / image.shape[1], size[0] / image.shape[0]] * 2, np.float32)
        found: list[Mask] = []
        for start in range(0, len(boxes), MOST):
            prompts = torch.from_numpy(boxes[start : start + MOST] * scale)[None]
            out = self.model(pixel_values=pixels, input_boxes=prompts, multimask_output=False)
            for logits in out.pred_masks[0, :, :1]:
                whole = F.interpolate(logits[None].float(), (self.side, self.side), mode="bilinear")
                own = whole[:, :, : size[0], : size[1]]
                fitted = F.interpolate(own, image.shape[:2], mode="bilinear", align_corners=False)
                found.append((fitted[0, 0] > 0).numpy())
        return found


def _side(config: Any) -> int:
    size = getattr(config.vision_config, "image_size", None) or getattr(config, "image_size", None)
    if size is None:
        size = config.vision_config.backbone_config.image_size
    return int(size[0] if isinstance(size, list | tuple) else size)


class Sam:
    """The way."""

    name = "sam"
    about = "a promptable segmenter in a local folder, asked for each box"

    def open(self, model: str, trunk: Any) -> Segmenter:
        """Return the teacher in the folder `model`. Raises MaskError."""
        from transformers import AutoConfig, AutoModel  # seconds to import, and only needed here

        folder = Path(model)
        if not model or not folder.is_dir():
            raise MaskError(f"sam: {model or 'no folder'}: give the local folder of a SAM, SAM 2 or EdgeTAM")
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            if config.model_type not in KINDS:
                raise MaskError(f"sam: {folder}: is a {config.model_type}; known are {', '.join(KINDS)}")
            return Segmenter(AutoModel.from_pretrained(folder, local_files_only=True), config.model_type)
        except (OSError, ValueError, AttributeError) as error:
            raise MaskError(f"sam: {folder}: cannot be opened ({' '.join(str(error).split())[:200]})") from None


MASKS = Sam()
