"""From a trained network to a pack: graph, parity, prototypes, card, manifest.

The network itself rides along as its configuration (in the graph's metadata) and its weights (the graph's
initializers), so a round may start from any pack of ours.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from edge.runtime import Float, parity
from edge.runtime.model import Model
from edge.runtime.prepare import Image, prepare
from export import parity as making
from export.graph import OPSET, ExportError, export_graph
from protocols.messages import utc_now
from protocols.pack import CARD, MODEL, PARITY, PROTOTYPES, Input, Manifest, Pack, PackError, create

CONFIG: Final = "wayside.config"
"""Key of the graph's metadata that holds the network's configuration, JSON."""
PARITY_FRAMES: Final = 3
"""Frames in a pack: about 1 MB at 288x512, and a wrong kernel shows in the first."""

PROTOTYPE_STEPS: Final = 128
"""Steps per unit to which prototypes are rounded: a cosine moves by 0.0002, and an update carries a quarter."""


class Ingredients(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack says about itself beyond its network."""

    name: str
    size: str
    labels: tuple[str, ...]
    tags: tuple[str, ...] = ()
    config: dict[str, object]
    """The network's configuration, as JSON would hold it."""
    height: int
    width: int
    score_threshold: float = 0.3
    nms_iou: float = 0.6
    parent: str | None = None
    snapshot: str | None = None
    producer: str = ""
    metrics: dict[str, float] = {}
    card: str = ""


def prepared(images: Sequence[Image], spec: Input) -> list[NDArray[np.uint8]]:
    """Return BGR `images` as the graph is fed with them, uint8 ``[1, 3, H, W]`` each."""
    return [np.asarray(prepare(image, spec)[0], np.uint8) for image in images]


def noise_frames(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """Return `count` smooth random images ``[1, 3, height, width]``: inputs for parity where no frame may travel."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(count):
        image = np.zeros((height, width, 3), np.float32)
        for cell in (64, 16, 4):
            noise = random.random((height // cell + 1, width // cell + 1, 3)).astype(np.float32)
            image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        found.append(np.clip(image / 3 * 255, 0, 255).astype(np.uint8).transpose(2, 0, 1)[None].copy())
    return found


def reference(network: nn.Module) -> making.Run:
    """Return torch's own answer to a prepared image, by output."""

    def run(pixels: NDArray[np.uint8]) -> Mapping[str, Float]:
        with torch.no_grad():
            return {name: value.numpy() for name, value in network(torch.from_numpy(pixels)).items()}

    return run


def parity_inputs(pack: Pack) -> list[NDArray[np.uint8]]:
    """Return the parity inputs of `pack`, which its successors inherit, so that no site's frames travel to another."""
    try:
        return [pixels for pixels, _ in parity.frames(parity.load(pack.path(PARITY)))]
    except PackError:
        return []


def graph_bytes(network: nn.Module, about: Ingredients) -> bytes:
    """Return the serialised graph of `network`, its configuration in the metadata."""
    model = export_graph(network, about.height, about.width)
    entry = model.metadata_props.add()
    entry.key, entry.value = CONFIG, msgspec.json.encode(about.config, order="sorted").decode()
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def build(
    network: nn.Module,
    about: Ingredients,
    folder: Path,
    inputs: Sequence[NDArray[np.uint8]],
    prototypes: NDArray[np.float32] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> Pack:
    """Write the pack of `network` into `folder`, prove it on this device, and return it.

    `inputs` are prepared images uint8 ``[1, 3, H, W]`` for parity; `prototypes` ``[P, D]`` unit vectors that summarise
    the training set; `beside` are files that come along as they are. Raises ExportError where ONNX Runtime does not
    compute what torch does.
    """
    network = network.eval().cpu()
    proof = making.make(list(inputs), reference(network))
    contents = {**(beside or {}), MODEL: graph_bytes(network, about), PARITY: proof}
    if prototypes is not None:
        buffer = io.BytesIO()
        rounded = np.rint(prototypes * PROTOTYPE_STEPS) / PROTOTYPE_STEPS
        np.savez_compressed(buffer, allow_pickle=False, prototypes=rounded.astype(np.float16))
        contents[PROTOTYPES] = buffer.getvalue()
    if about.card:
        contents[CARD] = about.card.encode()
    manifest = Manifest(
        name=about.name, size=about.size, labels=list(about.labels), tags=list(about.tags),
        input=Input(height=about.height, width=about.width), opset=OPSET,
        score_threshold=about.score_threshold, nms_iou=about.nms_iou,
        parent=about.parent, snapshot=about.snapshot, created=utc_now().isoformat(timespec="seconds"),
        producer=about.producer, metrics=dict(about.metrics),
    )  # fmt: skip
    pack = create(folder, manifest, contents)
    with Model(pack, "cpu") as model:
        report = parity.check(model)
    if not report.ok:
        raise ExportError(f"{folder}: ONNX Runtime does not compute what torch does: {report.detail}")
    return pack


def config_of(model: onnx.ModelProto) -> dict[str, object]:
    """Return the configuration that a graph of ours carries. Raises ExportError where it carries none."""
    for entry in model.metadata_props:
        if entry.key == CONFIG:
            found: dict[str, object] = msgspec.json.decode(entry.value, type=dict[str, object])
            return found
    raise ExportError("the graph carries no configuration of a network of ours, so it cannot be trained further")
