"""Images of strangers: their size is known before anything decodes them, and nothing but an image goes in."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from central.annotate import images
from central.annotate.formats import FormatError
from central.annotate.sizes import size_of

KINDS = ["jpg", "png", "bmp", "webp", "tif"]
IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def encoded(kind: str, *how: int) -> bytes:
    return cv2.imencode(f".{kind}", IMAGE, how)[1].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_size_of__as_decoded(kind: str) -> None:
    assert size_of(encoded(kind)) == (64, 48)


def test_size_of__webp_with_losses_and_padded_jpeg() -> None:
    assert size_of(encoded("webp", cv2.IMWRITE_WEBP_QUALITY, 50)) == (64, 48)
    jpeg = encoded("jpg")
    assert size_of(jpeg[:2] + b"\xff" * 5 + jpeg[2:]) == (64, 48)


@pytest.mark.parametrize("kind", KINDS)
def test_size_of__any_part_of_one(kind: str) -> None:
    whole = encoded(kind)
    for end in range(min(len(whole), 200)):
        assert size_of(whole[:end]) in (None, (64, 48))


def _png(width: int, height: int) -> bytes:
    plain = encoded("png")
    return plain[:16] + struct.pack(">II", width, height) + plain[24:]


HOSTILE = {
    "too wide": (_png(20_000, 10), "more than"),
    "a bomb": (_png(16_000, 16_000), "more than"),
    "no size": (_png(0, 0), "not a sound"),
    "gif": (b"GIF89a" + bytes(100), "not a sound"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "not a sound"),
    "html": (b"<!doctype html><script>alert(1)</script>", "not a sound"),
    "jpeg in name only": (b"\xff\xd8\xff\xe0<script>alert(1)</script>\xff\xd9", "not a sound"),
    "nothing": (b"", "not a sound"),
}


@pytest.mark.parametrize("case", list(HOSTILE))
def test_read_image__refused_before_it_is_decoded(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Any] = []
    monkeypatch.setattr("central.annotate.images.cv2.imdecode", lambda *given: decoded.append(given))
    data, says = HOSTILE[case]
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(FormatError, match=says):
        images.read_image(tmp_path, "a.jpg")
    assert decoded == []
    monkeypatch.setattr(images, "size_of", lambda _data: (1, 1))  # the twin: whoever believes anything decodes it
    with pytest.raises(FormatError, match="can be decoded"):
        images.read_image(tmp_path, "a.jpg")
    assert bool(decoded) == bool(data)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "link.png", "below/../../secret.png"])
def test_read_image__never_leaves_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(encoded("png"))
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(FormatError, match="is not below"):
        images.read_image(tmp_path / "in", name)
