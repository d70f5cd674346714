"""Opening a pack and running it: the same code at the centre and on a node.

    image BGR -> prepare (letterbox or stretch) -> Backend.run -> Decoder -> NMS -> Inference in source pixels

Backends (ONNX Runtime, TensorRT) and decoders (ours and foreign) are families of one file per member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protocols.pack import Input, Manifest

Float = NDArray[np.float32]


class RuntimeFault(Exception):  # noqa: N818 - a RuntimeError is something else
    """A model that cannot be opened or run here. The text says which, why, and what to do."""


REASON: Final = 300
"""Characters of somebody else's error that are repeated."""


def in_one_line(error: object) -> str:
    """Return what a foreign library said, on one line and bounded."""
    return " ".join(str(error).split())[:REASON] or "no reason given"


@dataclass(frozen=True)
class Detections:
    """Objects in one frame, best first. All arrays have length N.

    boxes ``[N, 4]`` xyxy; scores ``[N]`` 0..1; classes ``[N]`` indices into the model's labels; spread ``[N, 4]``
    standard deviation of each side, or None; blur ``[N]`` blur rank (higher is blurrier), or None. Boxes and spread are
    in source pixels in an `Inference`, in input pixels as a decoder returns them.
    """

    boxes: Float
    scores: Float
    classes: NDArray[np.int64]
    spread: Float | None = None
    blur: Float | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[np.int64]) -> Detections:
        """Return the detections at `index`, in that order."""
        pick = None if self.spread is None else self.spread[index]
        blur = None if self.blur is None else self.blur[index]
        return Detections(self.boxes[index], self.scores[index], self.classes[index], pick, blur)


@dataclass(frozen=True)
class Inference:
    """All that one pass over one frame gives.

    blur_map ``[H/8, W/8]`` of the model input (padding cut off), embedding ``[D]`` of unit length, tags ``[T]`` 0..1;
    each None where the pack does not have it. `class_scores` ``[N, C]`` are the class probabilities of each detection.
    picture ``[h, w]`` uint8 is the green plane of what the network saw, without padding: a small picture of the frame
    that costs nothing; None where the network was fed with something else. Not to be modified. `lost`: percent of AP50
    that blur like this one's is expected to cost on the pack's site; None where the pack does not know.
    """

    detections: Detections
    class_scores: Float | None = None
    blur_map: Float | None = None
    embedding: Float | None = None
    tags: Float | None = None
    picture: NDArray[np.uint8] | None = None
    lost: float | None = None


class Backend(Protocol):
    """A session that runs one graph on one device."""

    name: str
    """For people and for `Status.backend`: ``onnxruntime-cpu``, ``onnxruntime-cuda``, ``tensorrt`` ..."""

    def run(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        """Run the graph on one input batch and return its outputs by name. Raises RuntimeFault."""
        ...

    def close(self) -> None:
        """Release the device memory. Safe to call twice."""
        ...


class Decoder(Protocol):
    """A member of `edge.runtime.decoders`: reads the outputs of one family of networks."""

    name: str
    feeding: Input
    """How such networks are usually fed; an import takes size and input name from the graph."""
    nms_iou: float
    """Overlap (0..1) above which such networks' boxes are suppressed; 1 where they need no suppression."""

    def decode(
        self, outputs: dict[str, Float], manifest: Manifest, threshold: float
    ) -> tuple[Detections, Float | None]:
        """Return detections from `threshold` on, in input pixels, before NMS, and their class scores ``[N, C]``."""
        ...
