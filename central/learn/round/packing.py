"""A trained network becomes a pack: rounded to what its delta carries, exported, proven."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

import edge
from central.learn.blur.packing import carried
from central.learn.data import Example
from central.learn.data.dataset import read_image
from central.learn.detect.quick import best_threshold, detect
from central.learn.round.plan import Plan
from central.learn.rounding import FRAMES, round_network
from central.learn.start import read_pack
from export.build import Ingredients, build, noise_frames, parity_inputs, prepared, reference
from export.prototypes import SAMPLE, choose, embeddings
from protocols import files
from protocols.blur import FILES
from protocols.pack import Input, Pack, open_folder


def export(plan: Plan, network: Any, training: list[Example]) -> Pack:
    """Return the pack of `network`; the one that is there already stays. Raises ExportError, OSError."""
    folder, part = plan.folder / "pack", plan.folder / "pack.part"
    if folder.exists():
        return open_folder(folder)
    if part.exists():  # killed before it was whole and proven
        shutil.rmtree(part)
    if plan.step:
        shown = _prepared(network, training[:: max(1, len(training) // FRAMES)][:FRAMES])
        round_network(network, read_pack(plan.parent)[1], list(shown), plan.step)
    config = network.config
    manifest = plan.parent.manifest
    threshold = manifest.score_threshold
    if plan.frozen.judging:
        held = plan.shown(plan.frozen.judging)
        threshold = best_threshold(detect(network, held, next(network.parameters()).device), threshold)
    about = Ingredients(
        name=f"{manifest.name.split('+')[0]}+{plan.folder.name}",
        size=config.size, labels=config.labels, tags=config.tags,
        config=msgspec.to_builtins(config), height=config.height, width=config.width,
        score_threshold=threshold, nms_iou=manifest.nms_iou, parent=plan.parent.address,
        snapshot=plan.frozen.address, producer=f"wayside {edge.__version__}",
    )  # fmt: skip
    inputs = parity_inputs(plan.parent) or noise_frames(3, config.height, config.width)
    build(network, about, part, inputs, _covered(network, training), carried(plan.parent, FILES))
    part.rename(folder)
    files.sync_folder(plan.folder)
    return open_folder(folder)


def _prepared(network: Any, examples: list[Example]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of `examples` that can be read as `network` is fed with them, uint8 ``[1, 3, H, W]``."""
    spec = Input(height=network.config.height, width=network.config.width)
    images = (read_image(str(example.path)) for example in examples)
    return (prepared([image], spec)[0] for image in images if image is not None)


def _covered(network: Any, training: list[Example]) -> NDArray[np.float32] | None:
    """Return prototypes ``[P, D]`` of the frames that the network was trained on; None where it has no embedding."""
    inputs = _prepared(network, training[:: max(1, len(training) // SAMPLE)])
    points = embeddings(reference(network), inputs)
    return choose(points) if len(points) else None
