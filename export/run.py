"""From the folder of a training run to a pack.

The networks themselves live above this room; a run names its family, and the entry points of ``wayside.networks`` say
who builds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

import edge
from edge.runtime.prepare import Image
from export import checkpoint
from export.build import PARITY_FRAMES, Ingredients, build, noise_frames, prepared, reference
from export.graph import ExportError
from export.prototypes import SAMPLE, choose, embeddings
from protocols.blur import FILES
from protocols.pack import Input, Pack

GROUP: Final = "wayside.networks"
FAMILY: Final = "wayside"
LAST: Final = "last.safetensors"
AVERAGE: Final = "average."
"""Prefix of the averaged weights in a run's checkpoint: those that count."""
SUFFIXES: Final = frozenset((".jpg", ".jpeg", ".png"))

Builder = Callable[[dict[str, Any]], nn.Module]
"""From a network's configuration (JSON) to a fresh network."""


def builder(family: str) -> Builder:
    """Return who builds the networks of `family`. Raises ExportError where nobody does."""
    for point in entry_points(group=GROUP):
        if point.name == family:
            found: Builder = point.load()
            return found
    raise ExportError(f"nobody here builds networks of the family {family!r}; install wayside[central]")


def lean(config: dict[str, Any], without: Sequence[str]) -> dict[str, Any]:
    """Return the configuration `config` of a network less the heads `without`."""
    left = [*config.get("without", ()), *(head for head in without if head != "tags")]
    return {**config, "without": left, "tags": [] if "tags" in without else config.get("tags", [])}


def load_run(folder: Path, without: Sequence[str] = ()) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """Return network (less the heads `without`), configuration and result of the run in `folder`.

    Raises ExportError, CheckpointError.
    """
    tensors, about = checkpoint.read(folder / LAST)
    config = about.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ExportError(f"{folder}: {LAST} says nothing of its network; give the folder of a training run")
    model = lean(config["model"], without)
    try:
        network = builder(FAMILY)(model)
    except ValueError as error:
        raise ExportError(f"{folder}: {error}") from None
    checkpoint.load_into(network, {k.removeprefix(AVERAGE): v for k, v in tensors.items() if k.startswith(AVERAGE)})
    result = folder / "result.json"
    return network.eval(), model, json.loads(result.read_bytes()) if result.exists() else {}


def _images(folders: list[Path]) -> list[Path]:
    """Return up to SAMPLE images, spread evenly over `folders`."""
    found = [p for f in folders for p in sorted(f.rglob("*")) if p.suffix.lower() in SUFFIXES]
    step = max(1, len(found) // SAMPLE)
    return found[::step][:SAMPLE]


def _read(paths: list[Path]) -> Iterator[Image]:
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is not None:
            yield np.asarray(image, np.uint8)


def build_run(
    folder: Path, out: Path, images: list[Path], proof: list[Path], name: str, card: str, threshold: float | None,
    without: Sequence[str] = (),
) -> Pack:  # fmt: skip
    """Write the pack of the run in `folder` into the folder `out` and return it.

    `images` are folders of training frames, which the pack's prototypes summarise; no pixel of them gets into the pack.
    `proof` are folders of frames that prove parity and travel with it; without them smooth noise does. The heads
    `without` (blur, embedding, tags) are left out.
    Raises ExportError, CheckpointError.
    """
    network, config, result = load_run(folder, without)
    height, width = int(config["height"]), int(config["width"])
    spec = Input(height=height, width=width)
    paths = _images(images)
    covered: NDArray[np.float32] | None = None
    if paths:
        points = embeddings(reference(network), (prepared([image], spec)[0] for image in _read(paths)))
        covered = choose(points) if len(points) else None
    shown = _images(proof)
    inputs = prepared(list(_read(shown[:: max(1, len(shown) // PARITY_FRAMES)][:PARITY_FRAMES])), spec)
    chosen = threshold if threshold is not None else float(result.get("score_threshold", 0.3))
    about = Ingredients(
        name=name or folder.name, size=str(config["size"]), labels=tuple(config["labels"]), tags=tuple(config["tags"]),
        config=config, height=height, width=width, score_threshold=chosen, producer=f"wayside {edge.__version__}",
        nms_iou=float(getattr(network, "nms_iou", 0.6)), card=card,
        metrics={k: float(result[k]) for k in ("ap50",) if k in result},
    )  # fmt: skip
    beside = {file: (folder / file).read_bytes() for file in FILES if (folder / file).is_file()}
    return build(network, about, out, inputs or noise_frames(PARITY_FRAMES, height, width), covered, beside)
