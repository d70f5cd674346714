"""The order of the review queue."""

from __future__ import annotations

import math

import msgspec
import pytest

from central.ingest.value import BASE, WEIGHTS, value
from protocols.messages import Assessment


def assessed(**scores: float) -> Assessment:
    return msgspec.convert(scores, Assessment)


def test_value__nothing_known_is_the_base() -> None:
    assert math.isclose(value(Assessment()), BASE)


@pytest.mark.parametrize("name", WEIGHTS)
def test_value__grows_with_each_score(name: str) -> None:
    values = [value(assessed(**{name: score})) for score in (0.0, 0.3, 0.9)]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_value__two_reasons_outweigh_one() -> None:
    one = value(Assessment(uncertainty=0.5))
    assert value(Assessment(uncertainty=0.5, novelty=0.5)) > one


def test_value__redundant_frames_wait() -> None:
    assert value(Assessment(uncertainty=0.8, redundancy=1.0)) == value(Assessment(uncertainty=0.8)) / 2


@pytest.mark.parametrize("score", [-5.0, 0.0, 1.0, 1e9])
def test_value__stays_in_range(score: float) -> None:
    assert 0.0 <= value(assessed(**dict.fromkeys((*WEIGHTS, "redundancy"), score))) <= 1.0
