"""Detectors that look for words: Grounding DINO (also MM) and OWL-ViT (also v2). Each label is a prompt, or several.

Without a map every label asks for its own name ("two_wheeler" for "two wheeler"); with one, its words stand for labels:
``bicycle=two_wheeler``, ``motorcycle=two_wheeler``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from central.learn.models.detr import faults, library
from central.learn.teachers import TeacherError, hub, relabel, select
from edge.runtime import Detections, Float
from edge.runtime.prepare import Image

GROUNDED: Final = ("grounding-dino", "mm-grounding-dino")
PAIRED: Final = ("owlvit", "owlv2")


def prompts(labels: tuple[str, ...], names: Mapping[str, str]) -> dict[str, int]:
    """Return the words to look for and the index of the label that each stands for. Raises TeacherError."""
    unknown = sorted(set(names.values()) - set(labels))
    if unknown:
        raise TeacherError(f"{unknown[0]!r} is not a label of the project, which has {', '.join(labels)}")
    asked = {word: labels.index(label) for word, label in names.items()}
    own = {label.replace("_", " "): i for i, label in enumerate(labels) if label not in names.values()}
    return asked | own


def _spans(tokenizer: Any, words: list[str]) -> tuple[dict[str, torch.Tensor], list[list[int]]]:
    """Return the tokens of the caption "a. b. c." and which of them belong to each word."""
    caption, places = "", []
    for word in words:
        places.append((len(caption), len(caption) + len(word)))
        caption += f"{word}. "
    encoded = tokenizer(caption.strip(), return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    own = [[i for i, (low, high) in enumerate(offsets) if low < end and high > start] for start, end in places]
    return dict(encoded), own


class _Opened:
    def __init__(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> None:
        self.words = prompts(labels, names)
        self.sees = frozenset(self.words.values())
        self.network, self.prepare = hub.load("AutoModelForZeroShotObjectDetection", model)
        self.kind = str(self.network.config.model_type).replace("_", "-")
        if self.kind not in (*GROUNDED, *PAIRED):
            raise TeacherError(f"{model}: a {self.kind!r}; this teacher knows {', '.join((*GROUNDED, *PAIRED))}")
        try:
            self.tokenizer = library().AutoTokenizer.from_pretrained(model)
        except faults() as error:
            raise TeacherError(f"{model}: no tokenizer ({' '.join(str(error).split())[:200]})") from None
        self.labels, self.threshold = labels, threshold

    def _scores(self, pixels: torch.Tensor) -> tuple[Float, torch.Tensor]:
        """Return scores ``[Q, words]`` and relative boxes cxcywh ``[Q, 4]``."""
        words = list(self.words)
        if self.kind in PAIRED:
            text = self.tokenizer(words, padding=True, return_tensors="pt")
            out = self.network(
                pixel_values=pixels, input_ids=text["input_ids"], attention_mask=text["attention_mask"]
            )
            return np.asarray(out.logits[0].float().sigmoid().numpy(), np.float32), out.pred_boxes[0]
        text, own = _spans(self.tokenizer, words)
        out = self.network(pixel_values=pixels, **text)
        found = out.logits[0].float().sigmoid()
        columns = [found[:, spans].amax(1) if spans else found.new_zeros(len(found)) for spans in own]
        return np.asarray(torch.stack(columns, 1).numpy(), np.float32), out.pred_boxes[0]

    @torch.no_grad()
    def propose(self, image: Image) -> Detections:
        """Return what the words find."""
        pixels, scale = self.prepare(image)
        scores, boxes = self._scores(pixels)
        merged = relabel(scores, np.array(list(self.words.values()), np.int64), len(self.labels))
        return select(hub.corners(boxes, scale), merged, self.threshold)


class ZeroShot:
    """The teacher."""

    name = "zero-shot"

    def open(self, model: str, labels: tuple[str, ...], names: Mapping[str, str], threshold: float) -> _Opened:
        """Return the detector at `model`. Raises TeacherError."""
        return _Opened(model, labels, names, threshold)


TEACHER = ZeroShot()
