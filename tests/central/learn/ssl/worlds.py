"""Batches of crops of frames drawn on the spot, and what a trainer does with a pretext."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.models import ModelConfig
from central.learn.models.detr import library
from central.learn.ssl import Batch, Pretext, Scene, Shape, Trunk, make

CONFIG = ModelConfig(size="tiny", labels=("thing",), embedding=16, height=64, width=64)
IMAGE = (
    "byol",
    "colour",
    "denoise",
    "dense",
    "dino",
    "distil",
    "locate",
    "masked",
    "moco",
    "occlusion",
    "pixpro",
    "simclr",
    "simsiam",
)
"""Pretexts of single images."""
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {}) for name in IMAGE),
    ("moco", {"queue": 16}),
    ("occlusion", {"target": "pixels"}),
    ("colour", {"target": "values"}),
    ("distil", {"distance": "mse"}),
    ("locate", {"strict": False}),
    ("masked", {"dense": True}),
)
"""And their ways."""


def frames(count: int, side: int = 96, seed: int = 0) -> Tensor:
    """Return `count` frames ``[B, 3, side, side]`` uint8 of coloured blotches under fine texture."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=random)
    fine = torch.rand(count, 3, side // 4, side // 4, generator=random)
    shapes = [F.interpolate(x, size=(side, side), mode="bilinear") for x in (coarse, fine)]
    return (shapes[0] * 200 + shapes[1] * 55).byte()


def crop(frame: Tensor, window: tuple[int, int, int, int], side: int, flip: bool) -> tuple[Tensor, Tensor]:
    """Return the `window` (x, y, width, height) of `frame` at `side` x `side`, and its map ``[2, 3]``."""
    x, y, w, h = window
    cut = F.interpolate(frame[None, :, y : y + h, x : x + w].float(), size=(side, side), mode="bilinear")[0]
    size = frame.shape[1]
    found = torch.tensor([[size / w * side, 0, -x / w * side], [0, size / h * side, -y / h * side]])
    if flip:
        cut = cut.flip(-1)
        found[0] = -found[0]
        found[0, 2] += side
    return cut.round().byte(), found


def batch(count: int = 4, side: int = 64, seed: int = 0) -> Batch:
    """Return a batch that has all that pretexts of images ask for."""
    whole = frames(count, seed=seed)
    random = torch.Generator().manual_seed(seed + 1)
    views: list[list[tuple[Tensor, Tensor]]] = [[], []]
    for frame in whole:
        for place, view in enumerate(views):
            w, h, x, y = (int(v) for v in torch.randint(0, 33, (4,), generator=random))
            view.append(crop(frame, (x, y, 32 + w, 64 - h), side, flip=place == 1))
    images = [torch.stack([i for i, _ in v]) for v in views]
    maps = [torch.stack([m for _, m in v]) for v in views]
    boxes = torch.tensor([[4.0, 4, 40, 30], [20, 30, 50, 60]]).expand(count, 2, 4).clone()
    boxed = torch.tensor([True, False]).expand(count, 2).clone()
    plain = F.interpolate(whole.float(), size=(side, side), mode="bilinear").byte()
    return Batch(
        torch.arange(count), torch.zeros(count, dtype=torch.long), images[0], images[1], maps[0], maps[1],
        torch.zeros(count), boxes, boxes.clone(), boxed, plain, scene=plain.flip(-1), scene_boxes=boxes.clone(),
        scene_boxed=boxed.clone(),
    )  # fmt: skip


def tutor(folder: Path, kind: str = "dinov2") -> str:
    """Save a backbone of Transformers with random weights in `folder`, and return its path."""
    hub = library()
    torch.manual_seed(3)
    sizes: dict[str, Any] = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2, "intermediate_size": 32,
        "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    if kind == "convnext":
        sizes = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    if kind == "swin":
        sizes = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "image_size": 64, "window_size": 2}
    hub.AutoModel.from_config(hub.AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "do_normalize": true, "do_rescale": true}'
    )
    return str(folder)


class World:
    """A student, its teacher, and a pretext with its teacher."""

    def __init__(self, name: str, options: dict[str, Any] | None = None, side: int = 64) -> None:
        torch.manual_seed(0)
        self.trunk = Trunk(CONFIG)
        self.pretext = make(name, Shape.of(CONFIG, side, side), options)
        self.teachers: tuple[Trunk, Pretext] = (copy.deepcopy(self.trunk), copy.deepcopy(self.pretext))

    def scene(self, seen: Batch, step: int = 5, steps: int = 10) -> Scene:
        """Return what is seen at `step`."""
        random = torch.Generator().manual_seed(step)
        return Scene(seen, self.trunk, self.teachers[0], step, steps, random)

    def learn(self, seen: Batch, steps: int, rate: float = 3e-3) -> list[float]:
        """Return the losses of `steps` on one batch; the teachers stay as they are, in training mode as at first."""
        layers = [*self.trunk.parameters(), *self.pretext.parameters()]
        optimiser = torch.optim.Adam([p for p in layers if p.requires_grad], rate)
        found = []
        for _ in range(steps):
            scene = self.scene(seen)
            loss = self.pretext.loss(scene, self.teachers[1])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                self.pretext.after(scene, self.teachers[1])
            found.append(float(loss.detach()))
        return found
