"""The frozen trunk that discovery looks through, and what is kept of each box.

    image -> letterbox -> trunk -> maps at strides 8, 16, 32 -> RoIAlign in each box and around it -> [N, D]

A trunk is one of ours (a pack, a run, a checkpoint of self-supervision, or one trained from tags) or a vision
transformer of the Transformers library in a local folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.discover.classify import TagMaps
from central.learn.models import ModelConfig
from central.learn.models.config import SIZES, STRIDES
from central.learn.models.roi import roi_align
from central.learn.ssl import Trunk
from central.learn.start import StartError, weights_from
from edge.runtime import Float
from edge.runtime.prepare import Image, Transform, letterbox
from export import checkpoint

CELLS: Final = 3
"""Cells per side in which the inside of a box is described: enough to tell a whole from a part."""
AROUND: Final = 1.6
"""Side of the context of a box, in sides of the box (ContextLocNet, Kantorov et al., ECCV 2016)."""
SIDE: Final = 192
"""Of the input, pixels, unless the source says otherwise."""
PATCH_INPUT: Final = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of what vision transformers were trained on."""


class Seen(NamedTuple):
    """One image: `maps` are ``[c, h, w]`` with their strides in input pixels, `scene` a map for grouping, `classes`
    ``[C, h, w]`` logits per place where the trunk was trained from tags."""

    maps: list[tuple[Tensor, float]]
    scene: tuple[Tensor, float]
    classes: tuple[Tensor, float] | None
    transform: Transform


class Look(Protocol):
    """A trunk, ready."""

    key: str
    """Differs where its maps would."""
    tags: tuple[str, ...]
    """Of its class maps; none where it has none."""

    def __call__(self, image: Image) -> Seen:
        """Return what it makes of a BGR `image` ``[H, W, 3]``."""
        ...


def pixels(image: Image, side: int) -> tuple[Tensor, Transform]:
    """Return `image` letterboxed into a square, RGB ``[1, 3, side, side]`` 0..255."""
    fitted, transform = letterbox(image, side, side)
    return torch.from_numpy(np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)))[None].float(), transform


def digest(tensors: dict[str, Tensor], *more: object) -> str:
    """Return a text that changes with any of the weights."""
    found = hashlib.sha256(repr(more).encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


class Ours:
    """A trunk of ours; with class maps where it was trained from tags."""

    def __init__(self, trunk: Trunk, side: int, classifier: TagMaps | None = None, tags: tuple[str, ...] = ()) -> None:
        self.trunk, self.side, self.classifier, self.tags = trunk.eval(), side, classifier, tags
        if classifier is not None:
            classifier.eval()
        self.key = digest((classifier or trunk).state_dict(), side, tags)

    @torch.no_grad()
    def __call__(self, image: Image) -> Seen:
        """Return what it makes of `image`."""
        given, transform = pixels(image, self.side)
        seen = self.trunk(given)
        levels = [(level[0], float(s)) for level, s in zip(seen.levels, STRIDES, strict=True)]
        maps = [levels[0], levels[1], (seen.features[2][0], float(STRIDES[2]))]
        classes = None
        if self.classifier is not None:
            found = [out(level) for out, level in zip(self.classifier.out, seen.levels, strict=False)]
            up = [F.interpolate(f, size=found[0].shape[2:], mode="bilinear", align_corners=False) for f in found[1:]]
            classes = (torch.stack([found[0], *up]).mean(0)[0], float(STRIDES[0]))
        return Seen(maps, levels[1], classes, transform)


class Transformer:
    """A vision transformer in a local folder: the tokens of its last layer as one map."""

    tags: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel  # seconds to import, and only needed here

        try:
            self.model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
            config = self.model.config
            self.patch, self.side = int(config.patch_size), int(config.image_size)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise StartError(f"{folder}: no vision transformer that can be read ({str(error)[:200]})") from None
        self.side = max(self.side, PATCH_INPUT) // self.patch * self.patch
        self.key = digest(self.model.state_dict(), self.side)

    @torch.no_grad()
    def __call__(self, image: Image) -> Seen:
        """Return what it makes of `image`."""
        given, transform = pixels(image, self.side)
        mean, std = (torch.tensor(v)[None, :, None, None] for v in (MEAN, STD))
        tokens = self.model((given / 255 - mean) / std, interpolate_pos_encoding=True).last_hidden_state[0]
        count = self.side // self.patch
        level = tokens[-count * count :].T.reshape(-1, count, count)
        return Seen([(level, float(self.patch))], (level, float(self.patch)), None, transform)


@dataclass(frozen=True)
class Kept:
    """What is kept of the boxes of one image: features ``[N, D]``, and class activations ``[N, 2, C]`` inside and
    around where the trunk has class maps (C may be 0)."""

    features: Tensor
    activations: Tensor


def describe(seen: Seen, boxes: Float) -> Kept:
    """Return what `seen` shows in `boxes` ``[N, 4]`` (xyxy, source pixels) and around them."""
    inner = torch.from_numpy(seen.transform.to_input(boxes))
    grow = (inner[:, 2:] - inner[:, :2]) * (AROUND - 1) / 2
    outer = torch.cat((inner[:, :2] - grow, inner[:, 2:] + grow), 1)
    parts = []
    for number, (level, stride) in enumerate(seen.maps):
        last = number == len(seen.maps) - 1
        inside = roi_align(level, inner, stride, 1 if last and number else CELLS).flatten(1)
        means = (roi_align(level, own, stride, 2).mean((2, 3)) for own in (outer, inner))
        ring = ring_mean(*means)
        parts += [inside, ring]
    size = (inner[:, 2:] - inner[:, :2]) / max(seen.transform.content[2], 1)
    shape = torch.cat((size, size.prod(1, keepdim=True).clamp_min(1e-6).sqrt()), 1)
    features = torch.cat([*parts, shape], 1)
    none = features.new_zeros(len(boxes), 2, 0)
    return Kept(features, none if seen.classes is None else _activations(seen.classes, inner, outer))


def ring_mean(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the mean of the ring between two boxes from the means ``[N, c]`` of both; AROUND is the ratio of sides."""
    area = AROUND * AROUND
    return (area * outer - inner) / (area - 1)


def _activations(classes: tuple[Tensor, float], inner: Tensor, outer: Tensor) -> Tensor:
    level, stride = classes
    inside = roi_align(level, inner, stride, 2).mean((2, 3))
    return torch.stack((inside, ring_mean(roi_align(level, outer, stride, 2).mean((2, 3)), inside)), 1)


ABOUT: Final = "discover-trunk"


def save(network: TagMaps, tags: tuple[str, ...], side: int, path: Path) -> None:
    """Write a trunk that was trained from tags."""
    checkpoint.write(
        path, network.state_dict(),
        {"kind": ABOUT, "tags": list(tags), "side": side, "size": network.trunk.config.size},
    )  # fmt: skip


def from_tags(network: TagMaps, tags: tuple[str, ...], side: int) -> Ours:
    """Return a trunk trained from tags, ready."""
    return Ours(network.trunk, side, network, tags)


def open_trunk(source: str, side: int = SIDE) -> Look:
    """Return the trunk `source`: a pack or ``base``, a run folder, safetensors, or the folder of a vision transformer.

    Raises StartError, CheckpointError.
    """
    path = Path(source)
    if path.suffix == ".safetensors":
        tensors, about = checkpoint.read(path)
        if about.get("kind") == ABOUT:
            return _saved(tensors, about)
    if path.is_dir() and (path / "config.json").is_file() and _foreign(path / "config.json"):
        return Transformer(path)
    weights = weights_from(source, ("any",))
    for size in SIZES:
        trunk = Trunk(ModelConfig(size=size, labels=("any",), height=side, width=side))
        wanted = [n for n, t in trunk.state_dict().items() if n.startswith(("backbone.", "neck.")) and t.ndim]
        shapes = trunk.state_dict()
        if all(n in weights and weights[n].shape == shapes[n].shape for n in wanted):
            checkpoint.load_into(trunk, weights, strict=False)
            return Ours(trunk, side)
    raise StartError(f"{source}: holds no backbone and neck of ours; give a pack, a run, or a vision transformer")


def _foreign(path: Path) -> bool:
    try:
        return "model_type" in json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False


def _saved(tensors: dict[str, Tensor], about: dict[str, object]) -> Ours:
    listed = about.get("tags")
    tags = tuple(str(t) for t in listed) if isinstance(listed, list) else ()
    side, size = int(str(about["side"])), str(about["size"])
    network = TagMaps(Trunk(ModelConfig(size=size, labels=("any",), height=side, width=side)), len(tags))
    checkpoint.load_into(network, tensors)
    return from_tags(network, tags, side)
