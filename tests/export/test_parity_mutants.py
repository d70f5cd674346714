"""What a device computes wrongly, its proofs find: mutants of the base pack's graph."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edge.runtime import Float, packs
from edge.runtime import parity as reading
from edge.runtime.session import Session
from export import parity

Weights = dict[str, NDArray[np.generic]]
Frame = tuple[NDArray[np.uint8], dict[str, Float]]
FACTOR = 1.05
HARMLESS = 5.0
"""Tolerances by which a mutant may be off on a frame that is not among the proofs, and not be found."""
DRAWN = 10


@dataclass(frozen=True)
class Base:
    """The base pack's graph, and proofs that were made of it."""

    model: onnx.ModelProto
    frames: list[Frame]
    limits: dict[str, float]
    folder: Path

    def mutant(self, change: Callable[[Weights], None]) -> Session:
        """Return the graph with other weights."""
        weights = {t.name: numpy_helper.to_array(t).copy() for t in self.model.graph.initializer}
        before = dict(weights)
        change(weights)
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for tensor in model.graph.initializer:
            if weights[tensor.name] is not before[tensor.name]:
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weights[tensor.name]), tensor.name))
        path = self.folder / "mutant.onnx"
        path.write_bytes(model.SerializeToString())
        return Session(path, "onnxruntime-cpu", 1)

    def off(self, session: Session, frames: list[Frame]) -> float:
        """Return by how many tolerances the worst output is off."""
        worst = 0.0
        for pixels, expected in frames:
            for name, gap in reading.compare(expected, session.run(pixels), self.limits).items():
                worst = max(worst, gap / self.limits[name])
        return worst


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("base")
    pack = packs.find("base", folder)
    inputs = [pixels for pixels, _ in reading.frames(reading.load(pack.path("parity.npz")))]
    session = Session(pack.variant("fp32"), "onnxruntime-cpu", 1)
    (folder / "parity.npz").write_bytes(parity.make(inputs, session.run))
    arrays = reading.load(folder / "parity.npz")
    return Base(onnx.load(pack.variant("fp32")), reading.frames(arrays), reading.tolerances(arrays), folder)


def scaled(name: str, factor: float = FACTOR) -> Callable[[Weights], None]:
    return lambda weights: weights.update({name: weights[name] * weights[name].dtype.type(factor)})


def swapped(weights: Weights) -> None:
    order = [1, 0, 2, 3, 4]
    weights.update({n: v[order] for n, v in weights.items() if n.startswith("detect.classes.")})


def off_by_one(weights: Weights) -> None:
    weights["centres"] = weights["centres"] + np.float32(1.0)


def flipped(weights: Weights) -> None:
    name = "backbone.stages.0.0.conv.weight"
    weights[name] = weights[name][:, ::-1]


def embedding(weights: Weights) -> None:
    name = "embedding.project.weight"
    weights[name] = weights[name] * np.linspace(1, FACTOR, 64, dtype=np.float32).reshape(-1, 1, 1, 1)


def one_stride(weights: Weights) -> None:
    strides = weights["strides"]
    weights["strides"] = np.where(strides == 32, np.float32(31), strides)


HEADS = [f"detect.{head}.{level}.weight" for head in ("classes", "sides") for level in range(3)]
MUTANTS: dict[str, Callable[[Weights], None]] = {
    **{f"{name} scaled": scaled(name) for name in (*HEADS, "blur.out.weight", "tags.out.weight")},
    "embedding scaled by channel": embedding,
    "classes swapped": swapped,
    "boxes off by a pixel": off_by_one,
    "channels flipped": flipped,
    "one stride wrong": one_stride,
}


def test_proofs__the_graph_that_they_were_made_of_passes(base: Base) -> None:
    assert base.off(base.mutant(lambda weights: None), base.frames) <= 0.5


@pytest.mark.parametrize("name", MUTANTS)
def test_proofs__a_mutant_is_found(base: Base, name: str) -> None:
    assert base.off(base.mutant(MUTANTS[name]), base.frames) > 1.0


def test_proofs__what_is_not_found_is_harmless_elsewhere(base: Base) -> None:
    """Any weight of the graph scaled: found, or no more than a few tolerances off on frames that are no proof."""
    seed = random.randrange(2**32)
    print("seed", seed)
    names = sorted(t.name for t in base.model.graph.initializer if t.data_type == 1 and "." in t.name)
    whole = base.mutant(lambda weights: None)
    others = [np.ascontiguousarray(pixels[:, :, :, ::-1]) for pixels, _ in base.frames]
    elsewhere: list[Frame] = [(pixels, whole.run(pixels)) for pixels in others]
    for name in random.Random(seed).sample(names, DRAWN):
        session = base.mutant(scaled(name))
        if base.off(session, base.frames) <= 1.0:
            assert base.off(session, elsewhere) < HARMLESS, name
