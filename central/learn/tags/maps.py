"""Feature maps of the shared backbone, computed once: what tags learn from costs a pass per image and no more.

    images -> letterbox -> backbone, stride 32 -> [N, c, h, w] float16, in a file beside the run

The file is made again where backbone or images are others than it was made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from central.learn.data.dataset import read_image
from central.learn.models.network import CONTRAST, ZERO
from edge.runtime.prepare import Image, letterbox
from protocols import files

Maps = NDArray[np.float16]
"""``[N, c, h, w]``."""
ABOUT: Final = "maps.json"
FILE: Final = "maps.npy"
EVERY: Final = 64
"""Images between two reports."""


class Trunk(Protocol):
    """Whatever turns an image into a map."""

    @property
    def key(self) -> str:
        """Differs where its maps would."""
        ...

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Return the map ``[c, h, w]`` of a BGR `image` ``[H, W, 3]``."""
        ...


@dataclass(frozen=True)
class Backbone:
    """The backbone of one of our networks, as it is."""

    network: Any

    @property
    def key(self) -> str:
        """Hash of its weights and input size."""
        digest = hashlib.sha256(repr((self.network.config.height, self.network.config.width)).encode())
        for name, tensor in self.network.backbone.state_dict().items():
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Return the stride-32 features ``[c, h, w]`` that the tag head sees."""
        config = self.network.config
        fitted, _ = letterbox(image, config.height, config.width)
        pixels = torch.from_numpy(np.ascontiguousarray(fitted[:, :, ::-1].transpose(2, 0, 1)))[None]
        features: Tensor = self.network.backbone((pixels.float() - ZERO) * (1 / CONTRAST))[2]
        return np.asarray(features[0].numpy(), np.float32)


def _key(trunk: Trunk, paths: Sequence[Path]) -> str:
    digest = hashlib.sha256(trunk.key.encode())
    for path in paths:
        stat = path.stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def compute(
    trunk: Trunk, paths: Sequence[Path], report: Callable[[int], None] = lambda done: None
) -> tuple[Maps, list[int]]:
    """Return the maps of the images at `paths`, and the places of those that cannot be read (their maps are 0)."""
    found: Maps | None = None
    unread = []
    for place, path in enumerate(paths):
        image = read_image(str(path))
        if image is None:
            unread.append(place)
        else:
            own = trunk(image)
            if found is None:
                found = np.zeros((len(paths), *own.shape), np.float16)
            found[place] = own
        if place % EVERY == EVERY - 1 or place == len(paths) - 1:
            report(place + 1)
    if found is None:
        raise ValueError(f"{paths[0] if paths else 'no image'}: none of the images can be read")
    return found, unread


def cached(
    trunk: Trunk, paths: Sequence[Path], folder: Path, report: Callable[[int], None] = lambda done: None
) -> tuple[Maps, list[int]]:
    """Return what `compute` does, from `folder` where it is there already, mapped into memory. Raises OSError."""
    about, file = folder / ABOUT, folder / FILE
    key = _key(trunk, paths)
    if about.is_file() and file.is_file():
        said = json.loads(about.read_bytes())
        if said.get("key") == key:
            return np.load(file, mmap_mode="r", allow_pickle=False), list(said["unread"])
    folder.mkdir(parents=True, exist_ok=True)
    maps, unread = compute(trunk, paths, report)
    about.unlink(missing_ok=True)
    np.save(file, maps, allow_pickle=False)
    files.write_atomic(about, json.dumps({"key": key, "unread": unread, "shape": list(maps.shape)}).encode())
    return maps, unread
