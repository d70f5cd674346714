"""What nobody may see stays unseen."""

from __future__ import annotations

import numpy as np
import pytest

from edge.redact import Method, Part, RedactError, Redactor, Regions, fill_masks, hide_regions, region_of
from edge.redact.finder import PackFinder
from edge.redact.regions import head_of
from edge.runtime import Detections, Inference, RuntimeFault
from edge.sources import Image
from protocols.messages import Detection

RANDOM: Image = np.random.default_rng(0).integers(1, 255, (120, 160, 3), dtype=np.uint8)
PERSON = Detection(box=(40.0, 20.0, 80.0, 110.0), label="person", score=0.9)
CAR = Detection(box=(90.0, 60.0, 150.0, 100.0), label="car", score=0.9)


def test_nothing_to_hide__same_array() -> None:
    redactor = Redactor()
    assert redactor.mask(RANDOM) is RANDOM
    assert redactor.hide(RANDOM, [PERSON])[0] is RANDOM


def test_mask__filled_and_only_there() -> None:
    masked = fill_masks(RANDOM, [[(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)]])
    assert not masked[:60, :80].any()
    assert np.array_equal(masked[62:], RANDOM[62:]) and np.array_equal(masked[:, 82:], RANDOM[:, 82:])
    assert RANDOM[:60, :80].any()


def test_mask__recorded_in_pixels() -> None:
    redactor = Redactor([[(0.25, 0.5), (0.5, 0.5), (0.25, 1.0)]])
    _, records = redactor.hide(redactor.mask(RANDOM), [])
    assert [(r.kind, r.method, r.box) for r in records] == [("mask", "fill", (40.0, 60.0, 80.0, 120.0))]


@pytest.mark.parametrize("method", ["fill", "blur", "pixelate"])
@pytest.mark.parametrize("part", ["box", "head"])
def test_region__unreadable_and_only_there(method: Method, part: Part) -> None:
    hidden, records = Redactor([], ["person"], method, part).hide(RANDOM, [PERSON, CAR])
    assert [(r.kind, r.method) for r in records] == [("region", method)]
    x1, y1, x2, y2 = (int(v) for v in records[0].box)
    assert (y2 > 105) == (part == "box")
    inside, before = hidden[y1:y2, x1:x2].astype(int), RANDOM[y1:y2, x1:x2].astype(int)
    assert abs(np.corrcoef(inside.ravel() + np.arange(inside.size) * 1e-9, before.ravel())[0, 1]) < 0.35
    rest = np.ones(RANDOM.shape[:2], bool)
    rest[y1:y2, x1:x2] = False
    assert np.array_equal(hidden[rest], RANDOM[rest])


@pytest.mark.parametrize("method", ["fill", "blur", "pixelate"])
@pytest.mark.parametrize(
    "box",
    [(-20.0, -20.0, 10.0, 30.0), (150.0, 110.0, 300.0, 300.0), (50.0, 50.0, 51.0, 51.0), (0.0, 0.0, 160.0, 120.0)],
)
def test_region__at_the_border(method: Method, box: tuple[float, float, float, float]) -> None:
    secret = Detection(box=box, label="person", score=0.9)
    hidden, records = Redactor([], ["person"], method).hide(RANDOM, [secret])
    x1, y1, x2, y2 = records[0].box
    assert 0 <= x1 < x2 <= 160 and 0 <= y1 < y2 <= 120
    assert hidden.shape == RANDOM.shape


def test_region__outside_the_picture() -> None:
    outside = Detection(box=(200.0, 10.0, 220.0, 40.0), label="person", score=0.9)
    hidden, records = Redactor([], ["person"]).hide(RANDOM, [outside])
    assert hidden is RANDOM and not records
    assert region_of(outside.box, "box", 160, 120) is None


def test_overlap__second_region_uncovers_nothing() -> None:
    other = Detection(box=(60.0, 20.0, 100.0, 110.0), label="person", score=0.9)
    hidden, _ = Redactor([], ["person"], "fill").hide(RANDOM, [PERSON, other])
    assert not hidden[20:110, 40:100].any()


def test_pixelate__few_values_remain() -> None:
    from edge.redact.regions import CELLS, obscure

    hidden = obscure(RANDOM[:60, :60], "pixelate")
    assert len(np.unique(hidden.reshape(-1, 3), axis=0)) <= CELLS * CELLS


def test_hide_regions__leaves_the_input() -> None:
    before = RANDOM.copy()
    hide_regions(RANDOM, [PERSON], Regions(frozenset({"person"}), "fill"))
    assert np.array_equal(before, RANDOM)


@pytest.mark.parametrize(
    ("box", "bottom"),
    [
        ((0, 0, 40, 120), 30.0),  # stands: a quarter
        ((0, 0, 80, 80), 48.0),  # sits, or is cut by the border
        ((0, 0, 110, 100), 66.0),
        ((0, 0, 200, 60), 60.0),  # lies: all of it
    ],
)
def test_head__however_somebody_is_seen(box: tuple[float, float, float, float], bottom: float) -> None:
    assert head_of(box)[3] == pytest.approx(bottom)


class Plates:
    """Finds one plate, or fails."""

    labels: tuple[str, ...] = ("plate",)

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        if self.fails:
            raise RuntimeFault("planted")
        boxes = np.array([[90, 60, 150, 100]], np.float32)
        return Inference(Detections(boxes, np.array([0.4], np.float32), np.zeros(1, np.int64)))


def finder(fails: bool = False) -> PackFinder:
    return PackFinder(Plates(fails), Regions(frozenset({"plate"}), "fill"))


def test_finder__hides_what_the_pack_does_not_know() -> None:
    hidden, records = Redactor([], ["person"], finders=[finder()]).hide(RANDOM, [PERSON])
    assert [r.method for r in records] == ["pixelate", "fill"]
    assert not hidden[60:100, 90:150].any()
    assert RANDOM[60:100, 90:150].all()


def test_finder__that_fails_lets_nothing_out() -> None:
    with pytest.raises(RedactError, match="failed: planted"):
        Redactor(finders=[finder(fails=True)]).hide(RANDOM, [])


@pytest.mark.parametrize(
    ("strict", "labels", "known", "says"),
    [
        (True, ["person"], ["person", "car"], ""),
        (True, ["person", "plate"], ["person"], ""),  # the finder knows the plate
        (True, ["person"], ["cat"], "person must be hidden, but the pack does not know it"),
        (True, ["face", "person"], ["cat"], "face, person must be hidden, but the pack does not know them"),
        (True, [], ["cat"], ""),
        (False, ["person"], ["cat"], ""),
    ],
)
def test_expect__what_was_asked_for_must_be_found(strict: bool, labels: list[str], known: list[str], says: str) -> None:
    redactor = Redactor([], labels, finders=[finder()], strict=strict)
    redactor.expect(known)
    assert says in redactor.problem and bool(says) == bool(redactor.problem)
    if says:
        with pytest.raises(RedactError, match="no frame is kept"):
            redactor.hide(RANDOM, [])
        redactor.expect([*known, *labels])
        assert redactor.hide(RANDOM, [])[1]
