"""What the benchmark of self-supervision learns from and is judged by, found once and kept in its work folder."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import DATA, say
from central.learn.data import Example, Pixels
from central.learn.data.coco import load
from central.learn.detect import coco as truths
from central.learn.models import ModelConfig
from central.learn.ssl import Trunk, boxes, duplicates, settle, sources
from central.learn.ssl.material import Stock, joined
from central.learn.ssl.views import recoloured
from central.learn.start import weights_from
from export import checkpoint
from protocols import files

LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
KEPT_BACK: Final = 5
"""Every so-many-th frame of each camera is never learned from: what seen cameras show later."""
RECIPES: Final[dict[str, dict[str, float]]] = {
    "io": {"byol": 1.0, "objects": 1.0}, "near": {"byol": 1.0, "objects": 1.0},
}  # fmt: skip
"""Names of combinations; any other name is a pretext alone."""
AFTER: Final = {"placed": "io"}
"""Recipes that go on from another one's run: `locate`, at the size that the detector has."""
CLOSE: Final = {"near": 0.5}
"""Recipes some of whose views show one object."""


@dataclass(frozen=True)
class Setting:
    """The one setting of all runs."""

    work: Path
    side: int
    model: ModelConfig

    def run(self, name: str, seed: int) -> Path:
        """Return the folder of the run of pretext `name`."""
        return self.work / f"{name}-{seed}"


def development(arguments: argparse.Namespace) -> None:
    """Add the rest of the development data where that of the streets is used and nothing else was named."""
    if arguments.coco != DATA / "street" / "train.json" or arguments.more or arguments.sequence or arguments.video:
        return
    arguments.more = [f"{DATA / 'vehicles' / 'train.json'}:{DATA / 'vehicles' / 'images'}"]
    arguments.sequence = [DATA / "sequence" / "images"]
    arguments.video = sorted((DATA / "video").glob("*.mp4"))
    arguments.classes = arguments.classes or DATA / "objects64"


def setting(arguments: argparse.Namespace) -> Setting:
    """Return the setting that `arguments` describe."""
    model = ModelConfig(size=arguments.size, labels=LABELS, height=arguments.side, width=arguments.side)
    arguments.work.mkdir(parents=True, exist_ok=True)
    return Setting(arguments.work, arguments.side, model)


def split(coco: Path) -> tuple[list[str], list[str]]:
    """Return the files of `coco` that are learned from, and those kept back: every KEPT_BACK-th of each camera."""
    counts: Counter[str] = Counter()
    learned: list[str] = []
    back: list[str] = []
    for image in truths.read(coco).images:
        (back if counts[image.place] % KEPT_BACK == KEPT_BACK - 1 else learned).append(image.file_name)
        counts[image.place] += 1
    return learned, back


def material(arguments: argparse.Namespace, work: Path) -> Stock:
    """Return all unlabelled frames, without near-identical ones and without those kept back."""
    coco = json.loads(arguments.coco.read_bytes())
    learned = set(split(arguments.coco)[0])
    coco = {**coco, "images": [i for i in coco["images"] if i["file_name"] in learned], "annotations": []}
    own = work / "learned.json"
    own.write_text(json.dumps(coco), "utf-8")
    parts = [sources.coco(own, arguments.images)]
    for text in arguments.more:
        path, _, folder = text.partition(":")
        parts.append(sources.coco(Path(path), Path(folder)))
    parts += [sources.folder(path, 25.0) for path in arguments.sequence]
    parts += [sources.video(path, work / "videos") for path in arguments.video]
    return duplicates.without(joined(parts))


def boxes_of(stock: Stock, names: Sequence[str], work: Path) -> boxes.Boxes:
    """Return the boxes of `stock`, kept in `work`."""
    return boxes.cached(stock, names, work)


def trunk_of(where: Setting, name: str, seed: int) -> Trunk:
    """Return the trunk of the run `name`; a fresh one for ``random``."""
    torch.manual_seed(seed)
    trunk = Trunk(where.model)
    if name != "random":
        checkpoint.load_into(trunk, weights_from(str(where.run(name, seed)), LABELS))
    return trunk.eval()


def tenth(coco: Path, images: Path, seed: int, share: float = 0.1) -> list[Example]:
    """Return a share of the labelled images of each camera, drawn by `seed`, at least one."""
    random = np.random.default_rng(seed)
    by_camera: dict[str, list[Example]] = {}
    for example in load(coco, images, LABELS):
        by_camera.setdefault(example.camera, []).append(example)
    chosen: list[Example] = []
    for camera in sorted(by_camera):
        own = by_camera[camera]
        order = random.permutation(len(own))[: max(1, round(share * len(own)))]
        chosen += [own[i] for i in sorted(order)]
    return chosen


def images_of(images: Path, names: Sequence[str], light: int | None = None) -> Iterator[Pixels]:
    """Yield those of the files `names` that can be read, BGR.

    With a seed `light`, each in other light: brightness, contrast and colours as a camera's own would change.
    """
    reader = sources.Files(images)
    for number, name in enumerate(names):
        image = reader.read(name)
        if image is not None:
            yield image if light is None else recoloured(image, np.random.default_rng((light, number)), 0.0)


def frames_of(
    images: Path, names: Sequence[str], height: int, width: int, light: int | None = None
) -> list[NDArray[np.uint8]]:
    """Return what `images_of` yields as a network is fed with it, ``[3, height, width]`` each."""
    return settle.inputs(images_of(images, names, light), height, width)


class Parts:
    """Results so far, in a file: a benchmark that takes hours runs in slices."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = {}
        self._read()

    def _read(self) -> None:
        if self.path.is_file():
            self.rows = msgspec.json.decode(self.path.read_bytes())

    def has(self, *place: str) -> bool:
        """Whether the result at `place` is there."""
        return "/".join(place) in self.rows

    def put(self, value: Any, *place: str) -> None:
        """Keep `value` at `place`, beside what other processes found meanwhile, and tell it."""
        self._read()
        self.rows["/".join(place)] = value
        files.write_atomic(self.path, json.dumps(self.rows, indent=1, default=float).encode())
        say(f"{'/'.join(place)}: {value}")

    def under(self, *place: str) -> dict[str, Any]:
        """Return the results below `place`, by the rest of their names."""
        start = "/".join(place) + "/"
        return {key.removeprefix(start): value for key, value in self.rows.items() if key.startswith(start)}


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation and number of seeds of `values`."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values)), "seeds": len(values)}
