"""How large an image says it is, by its first bytes: what is too large is refused before anything decodes it.

JPEG, PNG, BMP, WebP and TIFF. None for whatever else, and for what makes no sense; nobody should decode that.
"""

from __future__ import annotations

import struct
from typing import Final

MAX_SIDE: Final = 1_000_000
"""Pixels; far above any image that the store takes."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Kinds of JPEG segments that say the size."""
_WIDTH, _HEIGHT = 256, 257
_WHOLE: Final = {3: "H", 4: "I"}
"""TIFF's types of whole numbers, as `struct` has them."""


def size_of(head: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels of the image that begins with `head`; None where it does not tell."""
    try:
        if head[:8] == _PNG:
            found = struct.unpack_from(">II", head, 16)
        elif head[:2] == b"\xff\xd8":
            found = _jpeg(head)
        elif head[:2] == b"BM":
            found = _bmp(head)
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            found = _webp(head)
        elif head[:4] in (b"II*\0", b"MM\0*"):
            found = _tiff(head)
        else:
            return None
    except (struct.error, IndexError):
        return None
    width, height = found
    return (width, height) if 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE else None


def _jpeg(head: bytes) -> tuple[int, int]:
    place = 2
    while head[place] == 0xFF:
        kind = head[place + 1]
        if kind in _SOF:
            height, width = struct.unpack_from(">HH", head, place + 5)
            return width, height
        # 0xFF again is padding
        place += 1 if kind == 0xFF else 2 + max(2, int(struct.unpack_from(">H", head, place + 2)[0]))
    return 0, 0


def _bmp(head: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", head, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<ii", head, 18)
    return width, abs(height)


def _webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(head: bytes) -> tuple[int, int]:
    order = "<" if head[:1] == b"I" else ">"
    place = struct.unpack_from(order + "I", head, 4)[0]
    sides = {}
    for number in range(struct.unpack_from(order + "H", head, place)[0]):
        tag, kind = struct.unpack_from(order + "HH", head, place + 2 + 12 * number)
        if tag in (_WIDTH, _HEIGHT):
            sides[tag] = struct.unpack_from(order + _WHOLE.get(kind, "B"), head, place + 10 + 12 * number)[0]
    return sides.get(_WIDTH, 0), sides.get(_HEIGHT, 0)
