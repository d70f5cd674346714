"""Making a pack of somebody else's ONNX detector: its bytes unchanged, a manifest that says how to read it, and parity.

FILE -> refused or accepted -> input from the graph -> label map -> parity on test images -> pack
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edge.runtime import Decoder, decoders, in_one_line, modelfile, parity
from edge.runtime.model import Model, our_labels
from export import parity as making
from protocols import files, pack
from protocols.pack import Input, Manifest, Pack

_COCO: Final = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
    "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,"
    "toothbrush"
)
COCO: Final = tuple(_COCO.split(","))
"""The 80 classes that most public detectors are trained on, in their usual order."""
MAX_LABELS_FILE: Final = 64 * 1024
"""Bytes of a labels file."""
PARITY_FRAMES: Final = 3
PARITY_SEED: Final = 20


class ForeignError(ValueError):
    """A model that cannot become a pack. The text says which, why, and what to do."""


def read_labels(text: str) -> list[str]:
    """Return labels from `text`: ``coco``, a comma-separated list, or a file of one per line. Raises ForeignError."""
    if text == "coco":
        return list(COCO)
    path = Path(text)
    if not path.is_file():
        if "," not in text:
            raise ForeignError(f"--labels {text}: no such file; give a file, a comma-separated list, or 'coco'")
        return [part.strip() for part in text.split(",") if part.strip()]
    if path.stat().st_size > MAX_LABELS_FILE:
        raise ForeignError(f"--labels {text}: more than {MAX_LABELS_FILE} bytes; give one label per line")
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ForeignError(f"--labels {text}: not a text file") from None


def read_map(pairs: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Return the label map of ``theirs=ours`` pairs. Raises ForeignError for another form or an unknown label."""
    found: dict[str, str] = {}
    for pair in pairs:
        theirs, _, ours = (part.strip() for part in pair.partition("="))
        if not theirs or not ours:
            raise ForeignError(f"--map {pair}: write it as theirs=ours")
        if theirs not in labels:
            raise ForeignError(f"--map {pair}: the model has no label {theirs!r}")
        found[theirs] = ours
    return found


def read_size(text: str) -> tuple[int, int]:
    """Return height and width of ``HxW``. Raises ForeignError."""
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ForeignError(f"--input {text}: write it as HEIGHTxWIDTH, 416x416 for instance")
    return int(height), int(width)


def _graph_input(model: onnx.ModelProto, path: Path) -> tuple[str, str, int, int]:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ForeignError(f"{path}: it has {len(inputs)} inputs; only networks with one image input can be imported")
    tensor = inputs[0].type.tensor_type
    sides = [dim.dim_value for dim in tensor.shape.dim]
    if len(sides) != 4 or sides[1] not in (0, 3):
        raise ForeignError(f"{path}: input {inputs[0].name!r} is {sides}; an image input is [1, 3, H, W]")
    kinds = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
    if tensor.elem_type not in kinds:
        raise ForeignError(f"{path}: input {inputs[0].name!r} is neither float32 nor uint8; convert the model")
    return inputs[0].name, kinds[tensor.elem_type], sides[2], sides[3]


def feeding(path: Path, model: onnx.ModelProto, decoder: Decoder, size: tuple[int, int] | None) -> Input:
    """Return how the graph is fed: name, type and fixed size of its input, the rest as its family usually is."""
    name, dtype, height, width = _graph_input(model, path)
    if size and (height, width) != (0, 0) and size != (height or size[0], width or size[1]):
        raise ForeignError(f"{path}: its input is fixed at {height}x{width}; leave --input out")
    if not size and not (height and width):
        raise ForeignError(f"{path}: its input has no fixed size; give --input HEIGHTxWIDTH")
    height, width = (height, width) if height and width else size or (0, 0)
    usual = msgspec.structs.asdict(decoder.feeding) | {
        "name": name,
        "dtype": dtype,
        "height": height,
        "width": width,
    }
    try:
        return msgspec.convert(usual, Input)
    except msgspec.ValidationError as error:
        raise ForeignError(f"{path}: its input cannot be used ({error})") from None


def _opset(model: onnx.ModelProto) -> int:
    return max(
        (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        default=0,
    )


def _scenes(spec: Input) -> list[NDArray[np.uint8]]:
    """Return images that no camera saw but every device sees the same: smoothed noise of several grains."""
    random = np.random.default_rng(PARITY_SEED)
    scenes = []
    for grain in (4, 16, 64)[:PARITY_FRAMES]:
        rows, columns = -(-spec.height // grain), -(-spec.width // grain)
        coarse = random.integers(0, 256, (1, 3, rows, columns), np.uint8)
        scenes.append(coarse.repeat(grain, 2).repeat(grain, 3)[:, :, : spec.height, : spec.width].copy())
    return scenes


def import_onnx(
    path: Path,
    decoder: str,
    labels: Sequence[str],
    label_map: Mapping[str, str],
    size: tuple[int, int] | None,
    folder: Path,
) -> Pack:
    """Write a pack of the ONNX model at `path` into `folder` and return it, after running it once.

    Raises ForeignError or RuntimeFault where the file, its input, its outputs or the labels do not fit `decoder`.
    """
    reader = decoders.find(decoder)
    data = modelfile.read(path)
    model = onnx.load_model_from_string(data)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ForeignError(f"{path}: not a valid ONNX model ({in_one_line(error)})") from None
    manifest = Manifest(
        name=path.stem, family=decoder, decoder=decoder, labels=list(labels), label_map=dict(label_map),
        input=feeding(path, model, reader, size), opset=_opset(model), nms_iou=reader.nms_iou,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
    )  # fmt: skip
    our_labels(manifest)
    contents = {pack.MODEL: data}
    made = pack.create(folder, manifest, contents)
    with Model(made, "cpu") as opened:
        contents[pack.PARITY] = making.make(_scenes(manifest.input), lambda pixels: parity.outputs(opened, pixels))
    return pack.create(folder, manifest, contents)


def save(made: Pack, out: Path) -> Path:
    """Write `made` as the archive `out` (``.wpack``); where `out` is its folder, leave it. Return the path."""
    if out.suffix == pack.SUFFIX:
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(out, pack.archive(made))
    return out
