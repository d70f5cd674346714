"""What TensorRT makes of a pack: every variant parsed and built, and run where there is a GPU.

`tensorrt_rtx` parses and builds without a GPU, so that a machine without one can prove that a graph will build. Engines
that can be refitted need one while they are built; how they run is for ``check PACK --backend tensorrt`` to say.
"""

from __future__ import annotations

import time

import msgspec

from edge.runtime import RuntimeFault
from edge.runtime.cuda import Gpu
from edge.runtime.engines import SUITED, Trt, library, model_bytes
from protocols.pack import Pack


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """One variant. `bytes` of its engine; `detail` says why it could not be built."""

    precision: str
    ok: bool
    library: str
    bytes: int = 0
    seconds: float = 0.0
    refittable: bool = False
    detail: str = ""


def build(pack: Pack, precisions: list[str] | None = None, trt: Trt | None = None) -> list[Built]:
    """Return how building each of `precisions` (default: those of the pack that suit TensorRT) went.

    Raises RuntimeFault where no TensorRT is installed or a variant does not suit it.
    """
    adapter = trt or Trt(library())
    refit = has_gpu()
    wanted = precisions or [name for name in pack.manifest.variants if name in SUITED]
    return [_one(adapter, pack, precision, refit) for precision in wanted]


def has_gpu() -> bool:
    """Say whether a GPU can be used here."""
    try:
        Gpu().close()
    except RuntimeFault:
        return False
    return True


def _one(adapter: Trt, pack: Pack, precision: str, refit: bool) -> Built:
    data = model_bytes(pack, precision)
    start = time.perf_counter()
    try:
        engine, _ = adapter.build(data, precision, refit=refit)
    except RuntimeFault as fault:
        return Built(precision=precision, ok=False, library=adapter.version, detail=str(fault))
    spent = time.perf_counter() - start
    return Built(
        precision=precision, ok=True, library=adapter.version, bytes=len(engine), seconds=spent, refittable=refit
    )
