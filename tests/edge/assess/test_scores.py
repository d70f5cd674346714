"""Every score on pictures made for it."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.assess import SCORES, Score, kinds, unexplained_motion
from edge.assess.assessor import Assessor
from edge.assess.blur import Blur
from edge.assess.uncertainty import AGGREGATES
from edge.runtime import Detections, Inference
from edge.runtime.sharpness.detail import sharpness
from edge.sources import Frame, Image
from edge.street.camera import Street

LABELS = ("person", "two_wheeler", "car", "bus", "truck")
EMPTY = np.zeros((0, 4), np.float32)


def frame(image: Image | None = None) -> Frame:
    return Frame.now(np.zeros((180, 320, 3), np.uint8) if image is None else image, "c", 0)


def inference(
    *boxes: tuple[float, float, float, float],
    score: float = 0.9,
    label: int = 2,
    classes: list[list[float]] | None = None,
    spread: float | None = None,
    embedding: NDArray[np.float32] | None = None,
    blur: NDArray[np.float32] | None = None,
) -> Inference:
    count = len(boxes)
    found = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, score, np.float32),
        np.full(count, label, np.int64),
        None if spread is None else np.full((count, 4), spread, np.float32),
    )
    scores = None if classes is None else np.array(classes, np.float32).reshape(count, -1)
    return Inference(found, scores, blur, embedding)


def value(score: Score, given: Inference, image: Image | None = None) -> float:
    verdict = score.assess(frame(image), given, LABELS)
    assert verdict is not None
    return verdict.value


BOX = (100.0, 60.0, 140.0, 90.0)


def test_kinds__every_field_is_filled() -> None:
    assert {kind.field for kind in kinds().values()} == set(SCORES)


@pytest.mark.parametrize("seed", [1, 4])
@pytest.mark.parametrize("kind", ["defocus", "motion", "small"])
def test_sharpness__falls_with_every_kind_of_blur(seed: int, kind: str) -> None:
    image, _ = Street(seed, 640, 360).render(3.0)
    steps = []
    for level in (0, 1, 2, 4):
        if kind == "defocus":
            steps.append(cv2.GaussianBlur(image, (0, 0), level) if level else image)
        elif kind == "motion":
            steps.append(cv2.blur(image, (1 + 3 * level, 1)))
        else:
            small = cv2.resize(image, None, fx=1 / (1 + level), fy=1 / (1 + level), interpolation=cv2.INTER_AREA)
            steps.append(cv2.resize(small, (640, 360), interpolation=cv2.INTER_CUBIC))
    values = [sharpness(step.astype(np.uint8)) for step in steps]
    assert all(a > b for a, b in pairwise(values)), values
    assert all(0.0 <= v < 1.0 for v in values)


def test_sharpness__noise_does_not_hide_a_defocus() -> None:
    sharp, blurred = (Street(1, 640, 360, noise=8.0, defocus=d).render(3.0)[0] for d in (0.0, 3.0))
    assert sharpness(sharp) > 1.5 * sharpness(blurred)


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9, 3), np.uint8), np.full((50, 50, 3), 200, np.uint8), np.zeros((1, 1, 3), np.uint8)]
)
def test_sharpness__of_nothing_is_zero(image: Image) -> None:
    assert sharpness(image) == 0.0


def test_sharpness__large_pictures_are_sampled_alike() -> None:
    image, _ = Street(1, 1280, 720).render(3.0)
    assert sharpness(image, 400 * 225) == pytest.approx(sharpness(image), abs=0.15)


def test_blur__learned_comes_before_classical() -> None:
    given = inference(blur=np.full((4, 4), 0.8, np.float32))
    assessment = Assessor().assess(frame(), given, LABELS)
    assert assessment.blur == pytest.approx(0.8)
    assert "blurred" in assessment.reasons["blur"]


def test_blur__classical_where_the_pack_has_none() -> None:
    assert Assessor().assess(frame(Street(1, 320, 180).render(0)[0]), inference(), LABELS).blur is not None


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (inference(BOX, score=0.97), inference(BOX, score=0.5)),
        (inference(BOX, score=0.9), inference(BOX, BOX, score=0.9)),
        (inference(), inference(BOX, score=0.95)),
        (inference(BOX, spread=1.0), inference(BOX, spread=10.0)),
        (
            inference(BOX, score=0.8, classes=[[0, 0, 0.8, 0.0, 0]]),
            inference(BOX, score=0.8, classes=[[0, 0, 0.8, 0.7, 0]]),
        ),
    ],
    ids=["score", "count", "anything", "spread", "two classes"],
)
def test_uncertainty__order(low: Inference, high: Inference) -> None:
    score = kinds()["uncertainty"].create()
    assert 0.0 <= value(score, low) < value(score, high) <= 1.0


def test_uncertainty__does_not_saturate_with_many_classes() -> None:
    """What a weak pack says of all its objects still has an order."""
    score = kinds()["uncertainty"].create()
    doubtful = [[0.1, 0.1, best, second, 0.1] for best, second in ((0.9, 0.1), (0.7, 0.2), (0.5, 0.4))]
    seen = [value(score, inference(BOX, score=row[2], classes=[row])) for row in doubtful]
    assert all(a < b for a, b in pairwise(seen)), seen


@pytest.mark.parametrize("name", list(AGGREGATES))
def test_aggregates__are_shares_and_grow_with_doubt(name: str) -> None:
    aggregate = AGGREGATES[name]
    assert aggregate(np.zeros(0)) == 0.0
    assert 0.0 < aggregate(np.array([0.2, 0.3])) < aggregate(np.array([0.4, 0.6])) < 1.0


def test_uncertainty__says_what_it_may_be() -> None:
    given = inference(BOX, score=0.6, classes=[[0, 0, 0.6, 0.5, 0]])
    verdict = kinds()["uncertainty"].create().assess(frame(), given, LABELS)
    assert verdict is not None and verdict.reason == "1 of 1 objects doubtful, most of all a car that may be a bus"


def moving(step: int, label: int = 2) -> Inference:
    x = 60.0 + 5 * step
    return inference((x, 60.0, x + 40, 90.0), label=label)


def test_inconsistency__steady_track_is_calm() -> None:
    score = kinds()["inconsistency"].create()
    assert [value(score, moving(i)) for i in range(20)] == [0.0] * 20


def test_inconsistency__gap_and_return() -> None:
    score = kinds()["inconsistency"].create()
    for i in range(6):
        value(score, moving(i))
    gone = score.assess(frame(), inference(), LABELS)
    back = score.assess(frame(), moving(7), LABELS)
    assert gone is not None and gone.value > 0.5 and gone.reason == "car vanishes inside the picture"
    assert back is not None and back.value > 0.3 and back.reason == "car comes back after a gap"


def test_inconsistency__class_flip() -> None:
    score = kinds()["inconsistency"].create()
    for i in range(5):
        value(score, moving(i))
    verdict = score.assess(frame(), moving(5, label=3), LABELS)
    assert verdict is not None and verdict.value > 0.7 and verdict.reason == "car turns into bus"


def test_inconsistency__leaving_the_picture_is_no_event() -> None:
    score = kinds()["inconsistency"].create()
    assert [
        value(score, inference((270.0 + 5 * i, 60, min(320.0, 310.0 + 5 * i), 90)) if i < 8 else inference())
        for i in range(12)
    ] == [0] * 12


def test_inconsistency__hidden_behind_another_is_no_event() -> None:
    score, car, bus = kinds()["inconsistency"].create(), (100.0, 60.0, 140.0, 90.0), (80.0, 30.0, 200.0, 95.0)
    for _ in range(5):
        value(score, inference(car))
    value(score, inference(car, bus))
    assert value(score, inference(bus)) == 0.0


def test_inconsistency__return_from_behind_another_is_no_event() -> None:
    score, car, bus = kinds()["inconsistency"].create(), (100.0, 60.0, 140.0, 90.0), (80.0, 30.0, 200.0, 95.0)
    for _ in range(5):
        value(score, inference(car))
    assert [value(score, inference(bus)), value(score, inference(bus, car))] == [0.0, 0.0]


def test_inconsistency__flicker_at_the_border_is_no_event() -> None:
    score, far = kinds()["inconsistency"].create(), (200.0, 0.0, 220.0, 12.0)
    assert [value(score, inference(*([far] if i % 6 else []))) for i in range(1, 20)] == [0.0] * 19


def test_inconsistency__few_frames_per_second_stay_calm() -> None:
    score = kinds()["inconsistency"].create()
    assert sum(value(score, inference((40.0 * (i % 6), 20, 40.0 * (i % 6) + 30, 50))) for i in range(30)) == 0.0


def street(seed: int, frames: int, miss: bool, **options: float) -> list[float]:
    camera, score = Street(seed, 640, 360, **options), kinds()["unexplained_motion"].create()  # type: ignore[arg-type]
    values = []
    for index in range(frames):
        image, truths = camera.render(20 + index * 0.1)
        known = [t.box for t in truths if not (miss and t.label in ("car", "truck"))]
        verdict = score.assess(frame(image), inference(*known), LABELS)
        if verdict is not None:
            values.append(verdict.value)
    return values


@pytest.mark.parametrize("options", [{}, {"rain": 0.7}, {"shake": 1.0}, {"shake": 3.0}, {"hour": 22.0}])
def test_unexplained_motion__missed_vehicles_stand_out(options: dict[str, float]) -> None:
    quiet, missed = street(6, 50, False, **options), street(6, 50, True, **options)
    assert np.mean(missed) > 3 * np.mean(quiet) and np.mean(missed) > 0.3
    assert np.median(quiet) < 0.2


@pytest.mark.parametrize(
    ("blob", "explained"),
    [
        ((20, 60, 60, 65), True),  # the shadow under a box of 40 x 40 pixels
        ((60, 20, 65, 60), True),  # the mirror and the spray at its side
        ((60, 30, 80, 50), False),  # a second, smaller car that touches the box
        ((100, 20, 140, 25), False),  # as thin as the shadow, but at no box
    ],
)
def test_unexplained_motion__fringe_of_a_detection(blob: tuple[int, int, int, int], explained: bool) -> None:
    rest = np.zeros((90, 160), np.uint8)
    rest[blob[1] : blob[3], blob[0] : blob[2]] = 255
    assert (unexplained_motion.judge(rest, [[20, 20, 60, 60]]).value == 0.0) is explained
    assert unexplained_motion.judge(rest, []).value > 0.2


def test_unexplained_motion__light_change_is_no_motion() -> None:
    image, _ = Street(1, 320, 180, density=0.05, noise=0.0).render(0)
    score = kinds()["unexplained_motion"].create()
    seen = [
        score.assess(frame(cv2.convertScaleAbs(image, alpha=1 + 0.03 * i).astype(np.uint8)), inference(), LABELS)
        for i in range(20)
    ]
    assert max(v.value for v in seen if v is not None) == 0.0


def test_unexplained_motion__new_resolution_starts_afresh() -> None:
    score = kinds()["unexplained_motion"].create()
    for shape in ((180, 320, 3), (240, 320, 3), (1080, 1920, 3)):
        for _ in range(10):
            verdict = score.assess(frame(np.full(shape, 90, np.uint8)), inference(), LABELS)
        assert verdict is not None and verdict.value == 0.0


def unit(random: np.random.Generator, towards: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    vector = random.normal(size=32) * (1.0 if towards is None else 0.02) + (0 if towards is None else towards)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def test_novelty__new_view_after_many_alike() -> None:
    random, score = np.random.default_rng(0), kinds()["novelty"].create()
    usual = unit(random)
    alike = [value(score, inference(embedding=unit(random, usual))) for _ in range(60)]
    new = score.assess(frame(), inference(embedding=unit(random)), LABELS)
    assert new is not None and new.value > 0.95 and "unlike" in new.reason
    assert np.mean(alike[20:]) < 0.6


def test_redundancy__like_what_was_selected() -> None:
    random, assessor = np.random.default_rng(0), Assessor()
    first, other = unit(random), unit(random)
    assert assessor.assess(frame(), inference(embedding=first), LABELS).redundancy is None
    assessor.selected(inference(embedding=first))
    near = assessor.assess(frame(), inference(embedding=unit(random, first)), LABELS)
    far = assessor.assess(frame(), inference(embedding=other), LABELS)
    assert near.redundancy is not None and far.redundancy is not None
    assert far.redundancy < 0.3
    again = assessor.assess(frame(), inference(embedding=first), LABELS).redundancy
    assert again is not None and again > 0.9


def test_embedding__another_pack_starts_afresh() -> None:
    assessor = Assessor()
    for size in (8, 16):
        given = inference(embedding=np.eye(size, dtype=np.float32)[0])
        assessor.assess(frame(), given, LABELS)
        assessor.selected(given)
    assert assessor.assess(frame(), given, LABELS).redundancy == pytest.approx(1.0)


def test_assessor__never_modifies_the_image_and_reasons_have_words() -> None:
    image, _ = Street(1, 320, 180).render(0)
    before, assessor = image.copy(), Assessor()
    for _ in range(12):
        assessment = assessor.assess(frame(image), inference(BOX, score=0.5), LABELS)
    assert np.array_equal(before, image)
    assert set(assessment.reasons) <= set(SCORES) and "doubtful" in assessment.reasons["uncertainty"]
    assert all(seconds > 0 for seconds in assessor.seconds.values())


def test_no_embedding__says_nothing() -> None:
    assessment = Assessor().assess(frame(), inference(BOX), LABELS)
    assert assessment.novelty is None and assessment.redundancy is None


@pytest.mark.parametrize(
    ("lost", "rank", "words"),
    [(None, 0.9, "0.90 of 1"), (None, 0.5, ""), (45.0, 0.1, "45 % of AP50"), (5.0, 0.9, "")],
)
def test_blur__is_told_by_what_it_costs_where_that_is_known(lost: float | None, rank: float, words: str) -> None:
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    inference = Inference(none, None, np.full((4, 4), rank, np.float32), lost=lost)
    verdict = Blur().assess(Frame.now(np.zeros((8, 8, 3), np.uint8), "c", 0), inference, ())
    assert verdict is not None and verdict.value == pytest.approx(rank)
    assert words in verdict.reason and bool(words) == bool(verdict.reason)
