"""A pack's tile model, opened: `blur_tiles.onnx` on the CPU, with its calibration where the pack has one."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.runtime import RuntimeFault
from edge.runtime.prepare import Image
from edge.runtime.sharpness.calibration import table
from edge.runtime.sharpness.tiles import MOST, TILE, Seen, look
from protocols.blur import TILES, TILES_PROOF
from protocols.pack import Pack, PackError

TOLERANCE: Final = 1e-3
"""Largest difference of a tile's blur between devices that is still the same."""


def has_tiles(pack: Pack) -> bool:
    """Whether `pack` has a tile model."""
    return TILES in pack.manifest.files


class TileModel:
    """The tile model of `pack`. Raises RuntimeFault where the pack has none or it does not open."""

    name = "tiles"

    def __init__(self, pack: Pack, threads: int = 1, most: int = MOST) -> None:
        from edge.runtime.session import CPU, Session  # here, so that the measures without a model need none of it

        if not has_tiles(pack):
            raise RuntimeFault(f"pack {pack.address[:12]} has no {TILES}; 'wayside-central train blur' makes one")
        self.pack, self.most = pack, most
        self.session = Session(pack.path(TILES), CPU, threads)
        known = table(pack)
        self.curve = None if known is None else known.tiles

    def see(self, image: Image) -> Seen:
        """Return the blur of a BGR or grey `image`. Raises RuntimeFault."""
        return look(image, self.session, self.most)

    def score(self, image: Image) -> float:
        """Return the sharpness of `image`, 0..1. Raises RuntimeFault."""
        return 1.0 - self.see(image).blur

    def lost(self, sharpness: float) -> float | None:
        """Return the percentage of AP50 that a picture of that `sharpness` is expected to lose; None if not known."""
        return None if self.curve is None else self.curve.at(1.0 - sharpness)

    def gap(self) -> float:
        """Return by how much this device's blur differs from that in the pack's proof. Raises RuntimeFault."""
        from edge.runtime import parity  # here: it opens models, which read the calibration beside this

        try:
            proof = parity.load(self.pack.path(TILES_PROOF))
        except PackError as error:
            raise RuntimeFault(str(error)) from None
        tiles, wanted = proof.get("tiles"), proof.get("blur")
        if tiles is None or wanted is None or tiles.dtype != np.uint8 or tiles.shape[1:] != (1, TILE, TILE):
            raise RuntimeFault(f"{TILES_PROOF}: it does not hold tiles and their blur")
        given = self.session.run(tiles)["blur"].reshape(-1)
        if given.shape != wanted.shape:
            return float("inf")
        return float(np.nan_to_num(np.abs(given - wanted.astype(np.float32)), nan=np.inf).max(initial=0.0))

    def close(self) -> None:
        """Release the session. Safe to call twice."""
        self.session.close()
