"""Two packs on the same frames: what changed, and how certain that is."""

from __future__ import annotations

import numpy as np
import pytest

from central.learn.detect.coco import Coco, CocoBox, CocoCategory, CocoImage
from central.learn.detect.evaluate import Prediction, report
from central.learn.gates import Evidence, Timing, gates, judge
from central.learn.judging import Judgement, fair
from central.learn.judging import judge as compare

CAMERAS = 3
FRAMES = 20
BOX = (10.0, 10.0, 20.0, 20.0)
CAR, BUS = 1, 2


def world(complete: list[str] | None = None) -> Coco:
    """Return FRAMES of each of CAMERAS, with a car in each and a bus in every second."""
    images = [
        CocoImage(c * FRAMES + i + 1, f"{c}-{i}.jpg", 100, 100, f"n1/c{c}", complete_for=complete)
        for c in range(CAMERAS)
        for i in range(FRAMES)
    ]
    boxes = [CocoBox(image.id, CAR, BOX) for image in images]
    boxes += [CocoBox(image.id, BUS, (60.0, 60.0, 20.0, 20.0)) for image in images[::2]]
    return Coco(images, [CocoCategory(CAR, "car"), CocoCategory(BUS, "bus")], boxes)


def seen(
    truth: Coco, blind: dict[str, float] | None = None, no_bus: bool = False, score: float = 0.9
) -> list[Prediction]:
    """Return predictions that are right, but for a share of the frames of the `blind` cameras, or of every bus."""
    random, found, boxes = np.random.default_rng(3), [], truth.by_image()
    for image in truth.images:
        kept = random.random() >= (blind or {}).get(image.camera, 0.0)
        own = [b for b in boxes[image.id] if kept and not (no_bus and b.category_id == BUS)]
        found.append(
            Prediction(
                image, np.array([b.bbox for b in own], np.float64).reshape(-1, 4), np.full(len(own), score),
                np.array([b.category_id for b in own], np.int64),
            )
        )  # fmt: skip
    return found


def judged(truth: Coco, *parts: list[Prediction], shared: tuple[str, ...] = ("car", "bus")) -> Judgement:
    """Return the judgement of before and after."""
    found = compare(truth, parts[0], parts[1], frozenset(shared))
    assert found is not None
    return found


def evidence(judgement: Judgement | None, **more: object) -> Evidence:
    """Return evidence in which all else is well."""
    plain: dict[str, object] = {"timing": None, "delta_bytes": 1000, "pack_bytes": 5000}
    return Evidence(judgement, **{**plain, **more})  # type: ignore[arg-type]


def outcome(gate: str, found: Evidence) -> str:
    """Return what one gate says."""
    member = gates()[gate]
    return member.judge(found, member.limit).outcome


def test_judge__agrees_with_the_evaluation() -> None:
    truth = world()
    found = seen(truth, {"n1/c1": 0.5})
    change = judged(truth, seen(truth), found)
    whole = report(truth, found, resamples=2)
    assert change.overall.after == pytest.approx(whole.ap50, abs=1e-6)
    for row in change.cameras:
        assert row.after == pytest.approx(whole.cameras[row.name].ap50, abs=1e-6)


def test_judge__the_same_pack_changed_nothing_for_certain() -> None:
    truth = world()
    found = judged(truth, *[seen(truth, {"n1/c0": 0.3})] * 2)
    assert all(r.change == 0.0 and r.span == (0.0, 0.0) for r in (*found.cameras, *found.classes))


@pytest.mark.parametrize(("share", "said"), [(0.9, "fail"), (0.15, "not_enough"), (0.0, "pass")])
def test_worst_camera__a_loss_stops_only_where_it_is_certain(share: float, said: str) -> None:
    truth = world()
    found = evidence(judged(truth, seen(truth), seen(truth, {"n1/c2": share})))
    assert outcome("worst_camera", found) == said
    if said != "pass":
        assert "n1/c2" in gates()["worst_camera"].judge(found, 0.05).reason


def test_worst_camera__few_frames_cannot_tell() -> None:
    whole = world()
    truth = Coco(whole.images[:5], whole.categories, [b for b in whole.annotations if b.image_id <= 5])
    found = evidence(judged(truth, seen(truth), seen(truth, {"n1/c0": 1.0})))
    assert outcome("worst_camera", found) == "not_enough"
    assert "fewer than 8 frames" in gates()["worst_camera"].judge(found, 0.05).reason


def test_worst_class__a_class_that_is_lost_stops_it_and_a_new_one_does_not() -> None:
    truth = world()
    assert outcome("worst_class", evidence(judged(truth, seen(truth), seen(truth, no_bus=True)))) == "fail"
    new = judged(truth, seen(truth), seen(truth, no_bus=True), shared=("car",))
    assert outcome("worst_class", evidence(new)) == "pass"
    assert [c.new for c in new.classes] == [False, True]


def test_cameras__are_judged_by_the_classes_that_both_know() -> None:
    truth = world()
    found = judged(truth, seen(truth, no_bus=True), seen(truth, {"n1/c2": 0.9}), shared=("car",))
    assert outcome("worst_camera", evidence(found)) == "fail"
    assert found.new_classes is not None and (found.new_classes.change or 0.0) > 0


@pytest.mark.parametrize(("score", "said"), [(0.9, "pass"), (0.3, "fail")])
def test_calibration__scores_that_lie_stop_it(score: float, said: str) -> None:
    truth = world()
    assert outcome("calibration", evidence(judged(truth, seen(truth), seen(truth, score=score)))) == said


@pytest.mark.parametrize(
    ("after", "span", "said"),
    [
        (20.0, (1.9, 2.1), "fail"),
        (20.0, (1.1, 2.1), "not_enough"),
        (11.0, (1.4, 1.5), "pass"),
        (12.5, None, "not_enough"),
    ],
)
def test_latency__certain_and_felt(after: float, span: tuple[float, float] | None, said: str) -> None:
    timing = Timing(10.0, after, after / 10, span, 12)
    assert outcome("latency", evidence(None, timing=timing)) == said


@pytest.mark.parametrize(
    ("delta", "pack", "said"), [(1_000_000, 90_000_000, "pass"), (None, 90_000_000, "fail"), (None, 1_000_000, "pass")]
)
def test_size__of_what_a_node_fetches(delta: int | None, pack: int, said: str) -> None:
    assert outcome("size", evidence(None, delta_bytes=delta, pack_bytes=pack)) == said


def test_gates__without_held_back_frames_say_so_and_limits_are_settings() -> None:
    found = {v.gate: v for v in judge(evidence(None), {"size": 0.0001})}
    assert set(found) == {"worst_camera", "worst_class", "calibration", "latency", "size"}
    assert found["worst_camera"].outcome == "not_enough"
    assert (found["size"].outcome, found["size"].limit) == ("fail", 0.0001)


def test_fair__what_nobody_looked_for_is_not_wrong() -> None:
    truth = world(complete=["car"])
    image = truth.images[0]
    there, elsewhere = (60.0, 60.0, 20.0, 20.0), (5.0, 70.0, 10.0, 10.0)
    found = Prediction(
        image, np.array([BOX, there, elsewhere, elsewhere]), np.full(4, 0.9), np.array([CAR, BUS, BUS, CAR])
    )
    assert fair([found], truth)[0].labels.tolist() == [CAR, BUS, CAR]
