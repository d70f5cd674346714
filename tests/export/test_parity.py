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


def detections(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(count)
    scores = random.random((count, 3)).astype(np.float32) * np.linspace(1, 0, count, dtype=np.float32)[:, None]
    boxes, spread = (random.random((count, 4)).astype(np.float32) * size for size in (500, 20))
    return {"boxes": boxes, "scores": scores, "spread": spread}


def made(tmp_path: object, outputs: dict[str, np.ndarray], frames: int = 1) -> list[dict[str, np.ndarray]]:
    path = tmp_path / "parity.npz"  # type: ignore[operator]
    path.write_bytes(parity.make([FRAME] * frames, lambda pixels: outputs))
    return [found for _, found in reading.frames(reading.load(path))]


@pytest.mark.parametrize("count", [0, 3, 300])
def test_make__what_is_kept_agrees_with_what_was_computed(tmp_path: object, count: int) -> None:
    outputs = detections(count) | {"blur": np.linspace(-4, 4, 2304, dtype=np.float32).reshape(1, 1, 36, 64)}
    kept = made(tmp_path, outputs)[0]
    assert len(kept["scores"]) == len(kept["boxes"]) <= parity.ROWS
    for name, gap in reading.compare(kept, outputs, reading.TOLERANCE).items():
        assert gap <= 0.3 * reading.TOLERANCE[name]


@pytest.mark.parametrize(("name", "by"), [("scores", 0.002), ("boxes", 0.2), ("spread", 0.2), ("blur", 0.02)])
def test_make__a_device_that_computes_something_else_is_found(tmp_path: object, name: str, by: float) -> None:
    outputs = detections(300) | {"blur": np.zeros((1, 1, 36, 64), np.float32)}
    kept = made(tmp_path, outputs)[0]
    gaps = reading.compare(kept, outputs | {name: outputs[name] + np.float32(by)}, reading.TOLERANCE)
    assert gaps[name] > reading.TOLERANCE[name]


def test_make__large_outputs_of_the_first_frame_only(tmp_path: object) -> None:
    frames = made(tmp_path, {"blur": np.zeros((1, 1, 36, 64), np.float32), "tags": np.ones((1, 2), np.float32)}, 3)
    assert [sorted(found) for found in frames] == [["blur", "tags"], ["tags"], ["tags"]]
