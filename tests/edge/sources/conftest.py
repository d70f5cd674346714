"""A small video and a folder of images, made afresh."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

FRAMES = 40
RATE = 20


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of FRAMES frames whose brightness grows."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    noise = np.random.default_rng(0).integers(0, 60, (96, 128, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise + np.uint8(3 * index), format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images 1 to 12, whose names sort wrongly as text, and one that is broken."""
    for index in range(1, 13):
        cv2.imwrite(str(tmp_path / f"frame{index}.png"), np.full((24, 32, 3), index * 10, np.uint8))
    (tmp_path / "frame5.png").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path
