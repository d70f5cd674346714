"""Parity on this device, for every variant that the pack has."""

from __future__ import annotations

import msgspec

from edge.runtime import parity
from edge.runtime.model import Model
from protocols.pack import Pack


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One variant on one backend."""

    precision: str
    backend: str
    ok: bool
    detail: str
    frames: int
    worst: dict[str, float]
    """Largest difference by output; boxes and spread in input pixels."""


def check(pack: Pack, backend: str = "auto", precisions: list[str] | None = None, threads: int = 1) -> list[Checked]:
    """Return the parity of `pack` in `precisions` (default: all its variants) on this device. Raises RuntimeFault."""
    found = []
    for precision in precisions or list(pack.manifest.variants):
        with Model(pack, backend, precision, threads) as model:
            outcome = parity.check(model)
            found.append(
                Checked(
                    precision=precision, backend=model.backend_name, ok=outcome.ok, detail=outcome.detail,
                    frames=outcome.frames, worst=outcome.worst,
                )
            )  # fmt: skip
    return found
