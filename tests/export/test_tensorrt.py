"""TensorRT-RTX parses and builds every variant, here and without a GPU; skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.runtime.engines import SUITED, Trt
from export import foreign, quantize, tensorrt
from protocols.pack import Pack


@pytest.fixture(scope="module")
def trt() -> Trt:
    module = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: pip install wayside[tensorrt]")
    return Trt(module)


@pytest.fixture
def quantised(onnx_file: Callable[..., Path], tmp_path: Path) -> Pack:
    made = foreign.import_onnx(onnx_file(), "fastestdet", ["a", "b", "c"], {}, None, tmp_path / "p")
    frames = [np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8) for n in range(2)]
    return quantize.quantise(made, quantize.feed(frames, made.manifest.input), tmp_path / "q")[0]


def test_build__every_variant(quantised: Pack, trt: Trt) -> None:
    rows = tensorrt.build(quantised, trt=trt)
    assert {row.precision for row in rows} == set(SUITED)
    assert all(row.ok for row in rows), rows
    assert all(row.bytes > 0 for row in rows)


def test_build__base_pack(trt: Trt, tmp_path: Path) -> None:
    from edge.runtime import packs

    if not packs.base_path().is_file():
        pytest.skip(f"{packs.base_path().name} is not in this checkout")
    rows = tensorrt.build(packs.find("base", tmp_path), trt=trt)
    assert rows and all(row.ok for row in rows), rows
