"""Parity on this device, for every variant that the pack has, and for its tile model of blur where it has one."""

from __future__ import annotations

from contextlib import closing

import msgspec

from edge.runtime import parity
from edge.runtime.model import Model
from edge.runtime.sharpness.learned import TOLERANCE, TileModel, has_tiles
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
    if precisions is None and has_tiles(pack):
        found.append(_tiles(pack))
    return found


def _tiles(pack: Pack) -> Checked:
    with closing(TileModel(pack)) as model:
        gap = model.gap()
        name = model.session.name
    detail = f"tiles agree on {name}" if gap <= TOLERANCE else f"blur is off by {gap:.4g}, {TOLERANCE} allowed"
    return Checked(
        precision="blur_tiles", backend=name, ok=gap <= TOLERANCE, detail=detail, frames=0, worst={"blur": gap}
    )
