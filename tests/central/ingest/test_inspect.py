"""Images and messages that are not what they say are refused from their bytes alone."""

from __future__ import annotations

import math
import random
from datetime import datetime
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from central.ingest.inspect import RefusedError, check, jpeg_size
from protocols.messages import Assessment, Detection


def encoded(shape: tuple[int, ...], *flags: int) -> bytes:
    return cv2.imencode(".jpg", np.full(shape, 77, np.uint8), list(flags))[1].tobytes()


@pytest.mark.parametrize(
    "data",
    [
        encoded((48, 64, 3)),
        encoded((48, 64)),
        encoded((48, 64, 3), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded((48, 64, 3), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        encoded((48, 64, 3)) + b"\x00" * 8,
        b"\xff\xd8\xff\xff\xff\xfe\x00\x04hi" + encoded((48, 64, 3))[2:],
    ],
    ids=["colour", "gray", "progressive", "restarts", "trailing", "comment"],
)
def test_jpeg_size__reads(data: bytes) -> None:
    assert jpeg_size(data) == (64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        encoded((48, 64, 3))[:-30],
        encoded((48, 64, 3))[:40] + b"\xff\xd9",
        b"\x89PNG\r\n\x1a\n" + b"\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x00" + b"\xff\xd9",
        b"\xff\xd8\xff\xc0\x00\x11\x0c" + b"\x00" * 14 + b"\xff\xd9",
        b"\xff\xd8" + b"\xff" * 50_000 + b"\xff\xd9",
    ],
)
def test_jpeg_size__refuses(data: bytes) -> None:
    with pytest.raises(RefusedError, match="image"):
        jpeg_size(data)


def test_jpeg_size__mutated_bytes_raise_nothing_else() -> None:
    draw, good = random.Random(7), encoded((48, 64, 3))
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            width, height = jpeg_size(bytes(data))
        except RefusedError:
            continue
        assert 0 <= min(width, height) <= max(width, height) <= 65535


NAN, BOX = math.nan, (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"node": "other"}, "came from another"),
        ({"sha256": "f" * 64}, "hash"),
        ({"height": 47}, "64x48"),
        ({"index": 2**63}, "beyond"),
        ({"time": datetime(2026, 1, 1)}, "zone"),
        ({"assessment": Assessment(blur=math.inf)}, "finite"),
        ({"detections": [Detection(box=(NAN, 0.0, 1.0, 1.0), label="car", score=0.5)]}, "finite"),
        ({"detections": [Detection(box=BOX, label="car", score=0.5, spread=(1.0, NAN, 1.0, 1.0))]}, "finite"),
        ({"embedding": [NAN]}, "finite"),
    ],
)
def test_check__refuses(sound: Any, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        check(msgspec.structs.replace(sound(), **changes), "n1")


def test_check__sound_passes(sound: Any) -> None:
    check(sound(), "n1")
