"""One call per frame, on a network whose outputs are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.runtime import RuntimeFault
from edge.runtime.model import Model, crop, pool
from edge.runtime.prepare import letterbox
from protocols.pack import Pack

Make = Callable[..., Pack]
Outputs = dict[str, np.ndarray]


def frame(height: int = 64, width: int = 96) -> np.ndarray:
    return np.full((height, width, 3), 50, np.uint8)


def test_infer__nms_and_threshold(make_pack: Make, outputs: Outputs) -> None:
    with Model(make_pack()) as model:
        found = model.infer(frame()).detections
    np.testing.assert_allclose(found.boxes, outputs["boxes"][[0, 2]])
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    assert found.classes.tolist() == [0, 1]


def test_infer__lower_threshold_sees_more(make_pack: Make) -> None:
    with Model(make_pack()) as model:
        assert len(model.infer(frame(), 0.01).detections) == 3
        assert len(model.infer(frame(), 0.95).detections) == 0


def test_infer__in_source_pixels(make_pack: Make) -> None:
    with Model(make_pack()) as model:
        found = model.infer(frame(128, 192)).detections
    np.testing.assert_allclose(found.boxes[0], [16, 16, 80, 80])
    assert found.spread is not None
    np.testing.assert_allclose(found.spread[0], [2, 4, 6, 8])


def test_infer__class_scores_belong_to_the_detections(make_pack: Make) -> None:
    with Model(make_pack()) as model:
        inference = model.infer(frame())
    assert inference.class_scores is not None
    np.testing.assert_allclose(inference.class_scores, [[0.9, 0.1], [0.2, 0.7]])


def test_infer__frame_outputs(make_pack: Make) -> None:
    with Model(make_pack()) as model:
        inference = model.infer(frame())
    assert inference.blur_map is not None and inference.embedding is not None and inference.tags is not None
    assert inference.blur_map.shape == (8, 12)
    np.testing.assert_allclose(inference.embedding, [0.6, 0.8])
    np.testing.assert_allclose(inference.tags, [0.25])


def test_infer__missing_outputs_are_absent(make_pack: Make, outputs: Outputs) -> None:
    only = {name: outputs[name] for name in ("boxes", "scores")}
    with Model(make_pack(only)) as model:
        inference = model.infer(frame())
    assert len(inference.detections) == 2
    assert inference.detections.spread is None and inference.detections.blur is None
    assert inference.blur_map is None and inference.embedding is None and inference.tags is None


def test_infer__label_map_merges_and_ignores(make_pack: Make, outputs: Outputs) -> None:
    with Model(make_pack(label_map={"bus": "vehicle"})) as model:
        inference = model.infer(frame())
    assert model.labels == ("vehicle",)
    np.testing.assert_allclose(inference.detections.boxes, outputs["boxes"][[2]])
    assert inference.class_scores is not None
    np.testing.assert_allclose(inference.class_scores, [[0.7]])


def test_infer__merged_labels_suppress_each_other(make_pack: Make, outputs: Outputs) -> None:
    changed = outputs | {"scores": np.array([[0.9, 0.1], [0.1, 0.8], [0.2, 0.7], [0, 0]], np.float32)}
    both = {"car": "vehicle", "bus": "vehicle"}
    with Model(make_pack(changed, label_map=both)) as model:
        np.testing.assert_allclose(model.infer(frame()).detections.boxes, outputs["boxes"][[0, 2]])


def test_infer__not_finite_boxes_are_left_out(make_pack: Make, outputs: Outputs) -> None:
    outputs["boxes"][0] = np.nan
    with Model(make_pack(outputs)) as model:
        assert np.isfinite(model.infer(frame()).detections.boxes).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((0, 4, 3), np.uint8), "uint8"),
        (np.zeros((4, 4), np.uint8), "uint8"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
    ],
)
def test_infer__bad_image(bad: np.ndarray, message: str, make_pack: Make) -> None:
    with Model(make_pack()) as model, pytest.raises(RuntimeFault, match=message):
        model.infer(bad)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"decoder": "crystal-ball"}, {}, "decoder 'crystal-ball' is unknown; there are .*wayside"),
        ({"label_map": {"tram": "bus"}}, {}, "label map names 'tram'"),
        ({}, {"precision": "int8"}, "has no int8 variant"),
        ({}, {"backend": "abacus"}, "'abacus' is unknown"),
        ({}, {"threads": 0}, "1 or more"),
    ],
)
def test_model__cannot_be_opened(
    changes: dict[str, object], options: dict[str, object], message: str, make_pack: Make
) -> None:
    with pytest.raises(RuntimeFault, match=message):
        Model(make_pack(**changes), **options)  # type: ignore[arg-type]


def test_infer__labels_that_do_not_fit(make_pack: Make) -> None:
    with Model(make_pack(labels=["car"])) as model, pytest.raises(RuntimeFault, match="1 labels need"):
        model.infer(frame())


def test_infer__not_our_family(make_pack: Make) -> None:
    with (
        Model(make_pack({"boxes": np.zeros((1, 4))})) as model,
        pytest.raises(RuntimeFault, match="no output 'scores'"),
    ):
        model.infer(frame())


@pytest.mark.parametrize("seed", range(3))
def test_pool__mean_of_touched_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    blur = random.normal(size=(8, 12)).astype(np.float32)
    corner = random.uniform(-10, 90, (50, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0, 40, (50, 2))], axis=1).astype(np.float32)
    for box, value in zip(boxes, pool(blur, boxes, 64, 96), strict=True):
        x1, y1 = min(max(int(box[0] // 8), 0), 11), min(max(int(box[1] // 8), 0), 7)
        x2, y2 = min(max(-int(-box[2] // 8), x1 + 1), 12), min(max(-int(-box[3] // 8), y1 + 1), 8)
        assert value == pytest.approx(blur[y1:y2, x1:x2].mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("source", "rows", "columns"),
    [
        ((64, 96), slice(0, 8), slice(0, 12)),
        ((40, 96), slice(2, 6), slice(0, 12)),
        ((64, 50), slice(0, 8), slice(3, 9)),
    ],
)
def test_crop__cells_wholly_on_the_image(
    source: tuple[int, int], rows: slice, columns: slice, outputs: Outputs
) -> None:
    blur = outputs["blur"][0, 0]
    _, transform = letterbox(frame(*source), 64, 96)
    np.testing.assert_array_equal(crop(blur, transform, 64, 96), blur[rows, columns])


def test_crop__never_empty(outputs: Outputs) -> None:
    _, transform = letterbox(frame(2, 900), 64, 96)
    assert crop(outputs["blur"][0, 0], transform, 64, 96).size >= 1
