"""Making what a device proves itself with."""

from __future__ import annotations

import numpy as np
import pytest

from edge.runtime import parity as reading
from export import parity

FRAME = np.zeros((1, 3, 32, 32), np.uint8)


def test_make__what_the_runtime_reads(tmp_path: object) -> None:
    data = parity.make(
        [FRAME, FRAME + 1], lambda pixels: {"tags": np.full((1, 2), pixels[0, 0, 0, 0], np.float32)}, {"tags": 0.5}
    )
    path = tmp_path / "parity.npz"  # type: ignore[operator]
    path.write_bytes(data)
    arrays = reading.load(path)
    frames = reading.frames(arrays)
    assert [outputs["tags"][0, 0] for _, outputs in frames] == [0.0, 1.0]
    np.testing.assert_array_equal(frames[1][0], FRAME + 1)
    assert reading.tolerances(arrays)["tags"] == 0.5
    assert reading.tolerances(arrays)["boxes"] == reading.TOLERANCE["boxes"]


def test_make__equal_bytes() -> None:
    first, second = (parity.make([FRAME], lambda pixels: {"tags": np.ones((1, 2), np.float32)}) for _ in range(2))
    assert first == second


def test_make__no_images() -> None:
    with pytest.raises(ValueError, match="needs 1 to"):
        parity.make([], lambda pixels: {})
