"""Small labelled images, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from central.learn.data import Example
from central.learn.detect.config import TrainConfig
from central.learn.models import ModelConfig

LABELS = ("square", "disc")
SIDE = 64
COLOURS = ((40, 40, 220), (220, 120, 30))
"""BGR of a square and of a disc."""


def draw(path: Path, seed: int, side: int = SIDE) -> Example:
    """Write a picture with one or two bright objects on grey noise and return its truth, complete for all classes."""
    random = np.random.default_rng(seed)
    image = random.integers(90, 130, (side, side, 3)).astype(np.uint8)
    boxes, classes = [], []
    for label in range(1 + seed % 2):
        size = int(random.integers(14, 22))
        x, y = int(random.integers(0, side - size)), int(random.integers(0, side - size))
        kind = (seed + label) % len(LABELS)
        if kind == 0:
            image[y : y + size, x : x + size] = COLOURS[0]
        else:
            cv2.circle(image, (x + size // 2, y + size // 2), size // 2, COLOURS[1], -1)
        boxes.append((x, y, x + size, y + size))
        classes.append(kind)
    cv2.imwrite(str(path), image)
    count = len(boxes)
    return Example(
        path, np.array(boxes, np.float32), np.array(classes, np.int64), np.ones(count, np.float32),
        np.ones(len(LABELS), bool),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep networks of this size to one thread: more only wait for each other, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shapes(tmp_path: Path) -> Callable[[int], list[Example]]:
    """A function that draws so many pictures of squares and discs."""

    def make(count: int) -> list[Example]:
        folder = tmp_path / "shapes"
        folder.mkdir(exist_ok=True)
        return [draw(folder / f"{i}.png", i) for i in range(count)]

    return make


@pytest.fixture
def settings() -> Callable[..., TrainConfig]:
    """A function that returns the settings of a run of the smallest network, without workers."""

    def make(labels: tuple[str, ...] = LABELS, **given: object) -> TrainConfig:
        model = ModelConfig(size="tiny", labels=labels, tags=labels, height=SIDE, width=SIDE, top_k=20, embedding=16)
        plain: dict[str, object] = {"steps": 6, "batch": 2, "warmup": 2, "workers": 0, "evaluate_every": 0}
        plain |= {"save_every": 3, "augment": "light"}
        return TrainConfig(model=model, **{**plain, **given})  # type: ignore[arg-type]

    return make
