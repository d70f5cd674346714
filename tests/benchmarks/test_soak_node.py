"""The judgement of a soak: what is flat and held passes, what leaks or falls behind does not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.soak_node import Look, counter, ends, judge, slope

MB = 1_000_000


def looks(
    leak: float = 0.0, rate: float = 5.0, files: float = 0.0, noise: float = 10 * MB, seed: int = 0
) -> list[Look]:
    """Return half an hour of looks every five seconds; `leak` in bytes and `files` in files per second."""
    draw, found = random.Random(seed), []
    for i in range(360):
        at = 5.0 * i
        private = int(200 * MB + leak * at + draw.uniform(-noise, noise))
        frames = {"c0": rate * at, "c1": 5.0 * at}
        found.append(Look(at, private, 11 + int(files * at), 15 + draw.randint(0, 3), at / 2, frames, {"c0": 0.0}))
    return found


@pytest.mark.parametrize(
    ("options", "flat", "held"),
    [
        ({}, True, True),
        ({"noise": 20 * MB, "seed": 3}, True, True),
        ({"leak": 10_000.0}, False, True),  # 36 MB an hour
        ({"leak": -10_000.0}, True, True),
        ({"files": 0.01}, False, True),
        ({"rate": 4.8}, True, False),
    ],
)
def test_judge(options: dict[str, Any], flat: bool, held: bool) -> None:
    answer = judge(looks(**options), 5.0)
    assert (answer["flat"], answer["held"], answer["ok"]) == (flat, held, flat and held), answer


def test_judge__too_short() -> None:
    assert not judge(looks()[:1], 5.0)["ok"]


def test_slope__peaks_do_not_move_it() -> None:
    points = [(float(x), 2.0 * x) for x in range(20)]
    points[7] = (7.0, 5000.0)
    assert slope(points) == pytest.approx(2.0)


def test_ends__medians() -> None:
    assert ends([1, 2, 90, 4, 5, 6, 7, 8, 9, 10]) == (1.5, 9.5)


def test_counter__of_each_camera() -> None:
    text = 'wayside_camera_frames_total{camera="a"} 5.0\nwayside_camera_frames_total{camera="b"} 7.0\nother 3\n'
    assert counter(text, "frames") == {"a": 5.0, "b": 7.0}
