"""From a trained tile model to the files of a pack, and the pack that has them beside what it had before."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from central.learn.blur.network import TileNetwork
from central.learn.blur.ranked import TILE
from edge.runtime import modelfile, parity
from edge.runtime.model import Model
from edge.runtime.sharpness.calibration import table
from edge.runtime.sharpness.learned import TOLERANCE, TileModel
from export import parity as making
from export.build import reference
from export.graph import OPSET, ExportError
from protocols.blur import BLUR, TILES, TILES_PROOF, BlurTable, encode
from protocols.pack import MODEL, PARITY, Pack, create

EPSILON: Final = 1e-5
"""What a norm adds to the variance."""
HEAD: Final = "blur."
"""Prefix of the weights of the dense head."""
OUTPUT: Final = "blur"
PROOF: Final = 8
"""Tiles in a pack's proof: smooth noise, no pixel of anybody's frames."""


def graph(network: TileNetwork) -> bytes:
    """Return the ONNX graph of `network`, for any number of tiles. Raises ExportError."""
    network = network.eval().cpu()
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network, (torch.zeros((2, 1, TILE, TILE), dtype=torch.uint8),), dynamo=True, opset_version=OPSET,
                input_names=["tiles"], output_names=["blur"], dynamic_shapes=({0: torch.export.Dim("n")},),
                verbose=False,
            )  # fmt: skip
    finally:
        logger.setLevel(before)
    if program is None:
        raise ExportError("the tile model was not exported")
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def proof_tiles() -> NDArray[np.uint8]:
    """Return tiles ``[PROOF, 1, TILE, TILE]`` of noise, each smoother than the one before."""
    import cv2

    random = np.random.default_rng(11)
    made = []
    for index in range(PROOF):
        noise = cv2.GaussianBlur(random.random((TILE, TILE)).astype(np.float32), (0, 0), 0.5 + 0.4 * index)
        made.append((255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8))
    return np.stack(made)[:, None]


def contents(network: TileNetwork) -> dict[str, bytes]:
    """Return graph and proof of `network` by file name. Raises ExportError."""
    tiles = proof_tiles()
    with torch.no_grad():
        blur = network.eval()(torch.from_numpy(tiles)).numpy().astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, tiles=tiles, blur=blur)
    return {TILES: graph(network), TILES_PROOF: buffer.getvalue()}


def network_of(pack: Pack) -> TileNetwork:
    """Return the tile model of `pack` to learn on from. Its norms were folded into the convolutions before them, so
    they are the identity and stay so. Raises ExportError where it is of another shape, PackError where there is
    none."""
    model = onnx.load_model_from_string(modelfile.read(pack.path(TILES)))
    weights = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    network = TileNetwork()
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith("1.running_var"):
            tensor.fill_(1.0 - EPSILON)
        elif name.endswith("1.bias"):
            tensor.copy_(weights.get(name.replace("1.bias", "0.weight_bias"), tensor))
        elif name in weights and weights[name].shape == tensor.shape:
            tensor.copy_(weights[name])
    network.load_state_dict(state)
    proof = parity.load(pack.path(TILES_PROOF))
    with torch.no_grad():
        gap = np.abs(network.eval()(torch.from_numpy(proof["tiles"])).numpy() - proof["blur"]).max()
    if not gap <= TOLERANCE:
        raise ExportError(f"{TILES} of pack {pack.address[:12]} is of another shape than ours; use --fresh")
    return network


def with_head(pack: Pack, network: nn.Module) -> dict[str, bytes]:
    """Return graph and proof of `pack`, by file name, with the blur head of `network`; every other weight stays as it
    is to the bit, and the proof has what it had of the other outputs. Raises ExportError, PackError."""
    if set(pack.manifest.variants) != {"fp32"}:
        raise ExportError(f"pack {pack.address[:12]} has variants of lower precision; teach it before they are made")
    model = onnx.load_model_from_string(modelfile.read(pack.path(MODEL)))
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items() if name.startswith(HEAD)}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights.pop(tensor.name), tensor.name))
    weights = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    if weights:
        raise ExportError(f"{MODEL} of pack {pack.address[:12]} has no {min(weights)}")
    arrays = parity.load(pack.path(PARITY))
    limits = parity.tolerances(arrays)
    for index, (pixels, _) in enumerate(parity.frames(arrays)):
        found = making.kept(reference(network.eval())(pixels), index == 0, limits)
        if OUTPUT in found:
            arrays[f"{OUTPUT}_{index}"] = found[OUTPUT]
    return {MODEL: bytes(model.SerializeToString(deterministic=True)), PARITY: making.pack_arrays(arrays)}


def current(pack: Pack, stale: Collection[str]) -> dict[str, bytes]:
    """Return blur.json of `pack` without the curves named in `stale`, as their scores are of another scale now; nothing
    where no curve is left. Raises RuntimeFault where it is damaged."""
    known = table(pack)
    if known is None:
        return {}
    left = msgspec.structs.replace(known, **dict.fromkeys(stale, None))
    return {} if left.dense is None and left.tiles is None else {BLUR: encode(left)}


def carried(pack: Pack, names: tuple[str, ...]) -> dict[str, bytes]:
    """Return those files of `pack` among `names` that it has."""
    return {name: pack.path(name).read_bytes() for name in names if name in pack.manifest.files}


def add(pack: Pack, more: Mapping[str, bytes], folder: Path) -> Pack:
    """Write into `folder` a pack with the files of `pack` and `more`; prove its tile model where it has one, and its
    graph where that is new. What is new makes the curves of blur.json stale, unless `more` has another one.

    Raises ExportError where ONNX Runtime does not compute what torch does."""
    stale = [name for name, file in (("dense", MODEL), ("tiles", TILES)) if file in more]
    kept = carried(pack, tuple(name for name in pack.manifest.files if name != BLUR))
    made = create(folder, pack.manifest, kept | current(pack, stale) | dict(more))
    if TILES in made.manifest.files:
        model = TileModel(made)
        gap = model.gap()
        model.close()
        if gap > TOLERANCE:
            raise ExportError(f"{TILES}: ONNX Runtime is {gap:.2g} away from torch, {TOLERANCE} allowed")
    if MODEL in more:
        with Model(made, "cpu") as whole:
            report = parity.check(whole)
        if not report.ok:
            raise ExportError(f"{MODEL}: ONNX Runtime does not compute what torch does: {report.detail}")
    return made


def with_table(pack: Pack, measured: BlurTable, folder: Path) -> Pack:
    """Write into `folder` what `add` does, with `measured` for its blur."""
    return add(pack, {BLUR: encode(measured)}, folder)
