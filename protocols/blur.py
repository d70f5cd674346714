"""What a pack knows about blur beyond its graph: optional files, which packs of before lack and old nodes step over.

blur_tiles.onnx   tiles [N, 1, 64, 64] uint8, grey, native resolution -> blur [N], 0..1, higher is blurrier
blur_tiles.npz    tiles and the blur that they had where the pack was made: any device can prove the same
blur.json         from blur scores to the expected loss of AP50, measured on the site's own frames
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocols.messages import Message, Text
from protocols.pack import PackError

TILES: Final = "blur_tiles.onnx"
TILES_PROOF: Final = "blur_tiles.npz"
BLUR: Final = "blur.json"
FILES: Final = (TILES, TILES_PROOF, BLUR)
"""What a pack made of another one takes over."""
MAX_BLUR: Final = 64 * 1024
"""Bytes of blur.json; two curves of 64 points have 3 KB."""
MAX_POINTS: Final = 256

Points = Annotated[list[float], Meta(min_length=1, max_length=MAX_POINTS)]


class Curve(Message, frozen=True, kw_only=True):
    """Expected loss of AP50 by blur score. `score` rises; `lost` is in percent of the AP50 of sharp frames."""

    score: Points
    lost: Points

    def at(self, score: float) -> float:
        """Return the expected loss at `score`, percent: straight between points, level beyond them."""
        after = bisect_right(self.score, score)
        if after == 0:
            return self.lost[0]
        if after == len(self.score):
            return self.lost[-1]
        low, high = self.score[after - 1], self.score[after]
        share = (score - low) / (high - low)
        return self.lost[after - 1] + share * (self.lost[after] - self.lost[after - 1])


class BlurTable(Message, frozen=True, kw_only=True):
    """`dense` is for the mean of the graph's blur map over a frame, `tiles` for the blur of the tile model."""

    schema: int = 1
    dense: Curve | None = None
    tiles: Curve | None = None
    images: int = 0
    """Frames that it was measured on."""
    about: Text = ""


def encode(table: BlurTable) -> bytes:
    """Return `table` as the content of blur.json."""
    return msgspec.json.format(msgspec.json.encode(table, order="sorted"), indent=1) + b"\n"


def decode(data: bytes) -> BlurTable:
    """Return the table that `data` holds. Raises PackError."""
    if len(data) > MAX_BLUR:
        raise PackError(f"{BLUR} has {len(data)} bytes, more than the {MAX_BLUR} allowed")
    try:
        table = msgspec.json.decode(data, type=BlurTable)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PackError(f"{BLUR}: {str(error)[:300]}") from None
    for curve in (table.dense, table.tiles):
        if curve is None:
            continue
        rising = all(a < b for a, b in zip(curve.score, curve.score[1:], strict=False))
        if len(curve.score) != len(curve.lost) or not rising:
            raise PackError(f"{BLUR}: a curve needs as many losses as scores, and scores that rise")
    return table
