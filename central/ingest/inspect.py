"""Is this frame what it says it is? Decided from the bytes alone, before anything is decoded or stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Final

from protocols.messages import FrameMessage

MAX_PIXELS: Final = 64_000_000
"""Width times height; above any camera that a Jetson-class node serves, below what hurts whoever decodes it."""
MAX_COUNT: Final = 2**63 - 1
"""Largest integer of a database column."""
_FRAME_STARTS: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive Huffman JPEG: what every decoder reads."""
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""


class RefusedError(Exception):
    """A frame that must not be stored. The text says why."""


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels from the header of a JPEG. Raises RefusedError where it is not a whole one."""
    if data[:2] != b"\xff\xd8" or b"\xff\xd9" not in data[-64:]:
        raise RefusedError("image: not a whole JPEG")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAME_STARTS:
            return _frame_header(data[at + 4 : at + 2 + length])
        if marker == 0xDA or length < 2:  # pixels before any size
            break
        at += 2 + length
    raise RefusedError("image: a JPEG without a readable header")


def _frame_header(header: bytes) -> tuple[int, int]:
    if len(header) < 6 or header[0] != 8 or header[5] not in (1, 3) or len(header) != 6 + 3 * header[5]:
        raise RefusedError("image: a JPEG of a kind that is not supported; use 8 bits, gray or colour")
    return int.from_bytes(header[3:5], "big"), int.from_bytes(header[1:3], "big")


def _numbers(message: FrameMessage) -> Iterator[float]:
    """Yield every number of `message` that the wire format allows to be infinite or not a number."""
    scores = (getattr(message.assessment, name) for name in message.assessment.__struct_fields__ if name != "reasons")
    yield from (score for score in scores if score is not None)
    for detection in message.detections:
        yield from detection.box
        yield from detection.spread or ()
        yield detection.blur or 0.0
    for redaction in message.redactions:
        yield from redaction.box
    yield from message.embedding or ()


def check(message: FrameMessage, node: str) -> None:
    """Raise RefusedError unless `message`, which came on a topic of `node`, is from it and is what it says."""
    if message.node != node:
        raise RefusedError(f"names node {message.node}, but came from another")
    if max(message.sequence, message.index) > MAX_COUNT:
        raise RefusedError("sequence or index beyond what can be stored")
    if message.time.tzinfo is None:
        raise RefusedError("a time without a zone")
    if not all(map(math.isfinite, _numbers(message))):
        raise RefusedError("a score, a box or the embedding is not a finite number")
    if hashlib.sha256(message.image).hexdigest() != message.sha256:
        raise RefusedError("image: does not match its hash")
    width, height = jpeg_size(message.image)
    if (width, height) != (message.width, message.height):
        raise RefusedError(f"image: {width}x{height}, but the message says {message.width}x{message.height}")
    if not 0 < width * height <= MAX_PIXELS:
        raise RefusedError(f"image: {width}x{height} pixels, more than the {MAX_PIXELS} allowed")
