"""Unknown tags filled in by tag transfer, with how sure that is.

    images, partial tags -> the trunk's coarsest maps -> a method of `central.learn.tags` -> probability -> label, sure
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from central.learn.data.dataset import read_image
from central.learn.discover.trunk import Look
from central.learn.tags.config import TagsConfig
from central.learn.tags.train import through, train

EPOCHS: Final = 20
RATE: Final = 3e-3
PRESENT: Final = 0.7
ABSENT: Final = 0.3
"""Probability from which an unknown tag is taken for present, and below which for absent; between, it stays unknown."""


def maps_of(
    look: Look, paths: Sequence[Path], report: Callable[[int], None] = lambda done: None
) -> NDArray[np.float16]:
    """Return the coarsest maps ``[N, c, h, w]`` of the images at `paths`; zeros for those that cannot be read."""
    found: dict[int, NDArray[np.float16]] = {}
    for place, path in enumerate(paths):
        image = read_image(str(path))
        if image is not None:
            found[place] = look(image).maps[-1][0].numpy().astype(np.float16)
        report(place + 1)
    if not found:
        raise ValueError(f"{paths[0] if paths else 'no image'}: none of the images can be read")
    shape = next(iter(found.values())).shape
    return np.stack([found.get(place, np.zeros(shape, np.float16)) for place in range(len(paths))])


def complete(
    maps: NDArray[np.float16], labels: NDArray[np.int8], names: tuple[str, ...], method: str = "hst", seed: int = 0
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return `labels` ``[N, C]`` with unknown cells filled where the transfer is sure, and how sure each is, 0..1.

    What is known stays, at 1. Raises TagsError, SlotError.
    """
    quarter = max(1, EPOCHS // 4)
    config = TagsConfig(
        method=method, words="learned", epochs=EPOCHS, rate=RATE, width=64, attention=32, hidden=64, warm=quarter,
        refresh=quarter, seed=seed,
    )  # fmt: skip
    trained = train(config, maps, labels, names)
    with torch.no_grad():
        p = through(trained.network, maps)[0].sigmoid().numpy()
    guessed = np.where(p >= PRESENT, 1, np.where(p <= ABSENT, -1, 0)).astype(np.int8)
    filled = np.where(labels != 0, labels, guessed).astype(np.int8)
    sure = np.where(labels != 0, 1.0, np.abs(2 * p - 1)).astype(np.float32)
    return filled, sure
