"""What ails a camera is told, whatever passes in front of it is not; on the synthetic street."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import pytest

from edge.assess.health import CLEAR_S, KINDS, RAISE_S, SAMPLE_S, Health, Hysteresis, Usual, changed, elsewhere, look
from edge.sources import Image
from edge.street.camera import Street

WELL = 20
"""Looks before the ailment begins: ten seconds."""
FOUND_S = 10.0


@lru_cache(2)
def street(hour: float = 12.0) -> list[Image]:
    """Twenty-five seconds of traffic, two frames a second."""
    camera = Street(3, 320, 180, hour=hour)
    return [camera.render(20 + index * SAMPLE_S)[0] for index in range(50)]


def scaled(share: float) -> Callable[[Image], Image]:
    return lambda image: np.asarray(cv2.convertScaleAbs(image, alpha=share), np.uint8)


def blurred(sigma: float) -> Callable[[Image], Image]:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def moved(x: int, y: int) -> Callable[[Image], Image]:
    return lambda image: np.asarray(
        cv2.warpAffine(image, np.array([[1, 0, x], [0, 1, y]], np.float32), image.shape[1::-1], borderMode=2), np.uint8
    )


def covered(image: Image) -> Image:
    hidden = image.copy()
    hidden[14:, :290] = 90
    return hidden


def raised(frames: list[Image], health: Health | None = None) -> dict[str, float]:
    """Return when, in seconds, each kind of alert was first there."""
    health = health or Health()
    first: dict[str, float] = {}
    for index, image in enumerate(frames):
        for kind in health.see(image, index * SAMPLE_S):
            first.setdefault(kind, index * SAMPLE_S)
    return first


@pytest.mark.parametrize(
    ("kind", "ailment"),
    [
        ("dark", scaled(0.12)),
        ("dark", scaled(0.0)),
        ("overexposed", scaled(6.0)),
        ("covered", covered),
        ("covered", lambda image: np.full_like(image, 120)),
        ("moved", moved(27, 7)),
        ("moved", moved(-100, 0)),
        ("defocused", blurred(1.5)),
        ("defocused", blurred(4.0)),
    ],
)
def test_health__finds(kind: str, ailment: Callable[[Image], Image]) -> None:
    frames = street()
    found = raised(frames[:WELL] + [ailment(image) for image in frames[WELL:]])
    assert list(found) == [kind]
    assert 0 < found[kind] - WELL * SAMPLE_S <= FOUND_S


def test_health__finds_a_frozen_picture() -> None:
    found = raised(street()[:WELL] + [street()[WELL]] * 30)
    assert list(found) == ["frozen"] and found["frozen"] - WELL * SAMPLE_S <= FOUND_S


@pytest.mark.parametrize("hour", [12.0, 22.0])
def test_health__traffic_is_well(hour: float) -> None:
    assert raised(street(hour)) == {}


@pytest.mark.parametrize("share", [0.6, 1.5])
def test_health__a_change_of_light_is_well(share: float) -> None:
    frames = street()
    change = [scaled(1.0 + (share - 1.0) * index / 40)(image) for index, image in enumerate(frames[WELL:])]
    assert raised(frames[:WELL] + change) == {}


def test_health__a_moment_is_not_told() -> None:
    frames = street()
    lorry = [covered(image) for image in frames[WELL : WELL + 3]]
    assert raised(frames[:WELL] + lorry + frames[WELL + 3 :]) == {}


def test_health__is_over_when_it_is_over() -> None:
    frames, health = street(), Health()
    for index, image in enumerate(frames[:WELL] + [scaled(0.1)(image) for image in frames[WELL:34]]):
        wrong = dict(health.see(image, index * SAMPLE_S))
    assert list(wrong) == ["dark"] and "mean grey level" in wrong["dark"]
    after = [dict(health.see(image, (34 + index) * SAMPLE_S)) for index, image in enumerate(frames[34:])]
    assert after[1] and not after[-1]


def test_health__another_view_becomes_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.assess.health.ACCEPT_S", 5.0)
    frames, health = street(), Health()
    turned = [moved(-100, 0)(image) for image in frames[WELL:]]
    assert "moved" in raised(frames[:WELL] + turned, health)
    assert health.wrong == {}


def test_health__another_resolution_starts_afresh() -> None:
    small = [np.asarray(cv2.resize(image, (240, 160)), np.uint8) for image in street()[WELL:]]
    assert raised(street()[:WELL] + small) == {}


def test_health__never_modifies_the_image_and_looks_seldom() -> None:
    image, health = street()[0], Health()
    before = image.copy()
    health.see(image, 0.0)
    health.see(np.zeros((1, 1), np.uint8), SAMPLE_S / 2)  # not looked at: it could not be
    assert np.array_equal(before, image)


def test_elsewhere__does_not_modify_what_it_compares() -> None:
    usual, recent = (look(image).structure for image in street()[:2])
    copies = usual.copy(), recent.copy()
    elsewhere(recent, usual)
    assert np.array_equal(usual, copies[0]) and np.array_equal(recent, copies[1])


def test_changed__noise_changes_a_living_picture() -> None:
    first, second = look(street()[0]), look(street()[1])
    assert changed(first, first) == 0.0 and changed(first, second) > 0.01


def test_usual__forgets_what_passes() -> None:
    usual, (first, *others) = Usual(), [look(image) for image in street()[:20]]
    for each in (first, *others):
        usual.learn(each)
    assert 0.8 < usual.sharpness(look(street()[21])) < 1.2
    assert usual.sharpness(look(blurred(3.0)(street()[21]))) < 0.5


@pytest.mark.parametrize(
    ("suspected", "expected"),
    [
        ([True] * 8, [False] * 7 + [True]),
        ([True, False] * 10, [False] * 20),
        ([True] * 8 + [False] * 12, [False] * 7 + [True] * 12 + [False]),
        ([True] * 8 + [False, True] * 3, [False] * 7 + [True] * 7),
    ],
    ids=["lasts", "flickers", "over", "stands"],
)
def test_hysteresis__course(suspected: list[bool], expected: list[bool]) -> None:
    assert (RAISE_S, CLEAR_S, SAMPLE_S) == (4.0, 6.0, 0.5)
    course = Hysteresis(RAISE_S)
    assert [course.update(each, (1 + i) * SAMPLE_S) for i, each in enumerate(suspected)] == expected


def test_kinds__each_has_words() -> None:
    assert len(set(KINDS)) == 6
