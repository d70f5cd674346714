"""Frames from a folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from export.frames import FramesError, read_frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(9):
        place = tmp_path / f"cam{index % 2}"
        place.mkdir(exist_ok=True)
        cv2.imwrite(str(place / f"{index}.png"), np.full((4, 4, 3), index, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (4, 4), (9, 9), (100, 9)])
def test_read__at_most_that_many(count: int, expected: int, folder: Path) -> None:
    frames, skipped = read_frames([folder], count)
    assert (len(frames), skipped) == (expected, [])
    assert len({int(frame[0, 0, 0]) for frame in frames}) == expected


def test_read__unreadable_are_named(folder: Path) -> None:
    (folder / "cam0" / "0.png").write_bytes(b"nothing")
    frames, skipped = read_frames([folder], 100)
    assert len(frames) == 8
    assert "0.png: not a readable image" in skipped[0]


def test_read__nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(FramesError, match="not a folder"):
        read_frames([tmp_path / "none"], 1)
    with pytest.raises(FramesError, match="no images"):
        read_frames([tmp_path], 1)
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(FramesError, match="none of the 1 images"):
        read_frames([tmp_path], 1)
