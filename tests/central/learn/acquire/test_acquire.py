"""Choosing what to ask next: exact values by hand, laws by random pools."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.learn.acquire import Candidate, Pool, acquisition, acquisitions
from central.learn.acquire.distances import by_class, medoids, plus_plus
from central.learn.acquire.questions import BOX_S, CONFIRM_S, LOOK_S, questions, seconds
from central.learn.acquire.scores import entropies, margins, ranks
from central.learn.acquire.strategies.badge import gradient
from central.learn.acquire.strategies.ppal import BETA, weights
from export.prototypes import k_centre


def candidate(
    scores: list[list[float]], embedding: tuple[float, ...] = (1.0, 0.0), camera: str = "a", time: float = 0.0,
    **evidence: float,
) -> Candidate:  # fmt: skip
    """Return a frame whose detections have these class scores."""
    count = len(scores)
    return Candidate(
        f"{camera}-{time}", camera, time, np.zeros((count, 4), np.float32),
        np.array(scores, np.float32).reshape(count, -1) if scores else np.zeros((0, 2), np.float32),
        np.tile(np.array([embedding], np.float32), (count, 1)), np.zeros(count, np.float32),
        np.array(embedding, np.float32), dict(evidence),
    )  # fmt: skip


def pool(candidates: list[Candidate], labelled: list[Candidate] | None = None) -> Pool:
    """Return a pool in which both classes are half known."""
    return Pool(candidates, labelled or [], np.array([0.5, 0.5], np.float32))


def drawn(seed: int, count: int) -> list[Candidate]:
    """Return frames of chance."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(count):
        scores = random.random((int(random.integers(0, 4)), 2)).tolist()
        angle = random.random() * 6
        point = (math.cos(angle), math.sin(angle))
        made.append(candidate(scores, point, f"c{random.integers(3)}", float(i), inconsistency=float(random.random())))
    return made


def test_entropies__by_hand() -> None:
    assert entropies(np.array([[0.5, 0.5]], np.float32))[0] == pytest.approx(2.0)
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert entropies(np.array([[0.25, 0.0]], np.float32))[0] == pytest.approx(quarter, abs=1e-3)


def test_margins__by_hand() -> None:
    assert margins(np.array([[0.9, 0.2], [0.5, 0.45]], np.float32)).tolist() == pytest.approx([0.3, 0.95])


def test_ranks__are_the_share_of_others_below() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 7.0], np.float32)).tolist() == pytest.approx([1 / 3, 0.0, 1 / 3, 1.0])


def test_weights__of_ppal_at_its_ends() -> None:
    assert weights(np.array([1.0, 0.0], np.float32)).tolist() == pytest.approx([1.0, 1 + BETA])


def test_gradient__of_a_certain_detection_is_nothing() -> None:
    sure, unsure = candidate([[1.0, 0.0]]), candidate([[0.5, 0.0]])
    assert np.abs(gradient(sure, 4)).max() == 0
    assert gradient(unsure, 4).tolist() == pytest.approx([-0.5, 0, 0, 0])


def test_k_centre__takes_the_farthest() -> None:
    points = np.array([[1, 0], [0.99, 0.14], [0, 1], [-1, 0]], np.float32)
    assert k_centre(points, 2, points[:1]) == [3, 2]


def test_plus_plus__never_takes_one_twice() -> None:
    points = np.zeros((5, 2), np.float32)
    assert sorted(plus_plus(points, 5, np.random.default_rng(0))) == [0, 1, 2, 3, 4]


def test_medoids__one_of_each_group() -> None:
    points = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 9.0], np.float32)
    apart = np.abs(points[:, None] - points[None])
    assert sorted(int(points[i] // 4) for i in medoids(np.asarray(apart, np.float32), 3)) == [0, 1, 2]


def test_by_class__by_hand() -> None:
    car, bus = candidate([[0.8, 0.1]]), candidate([[0.1, 0.8]])
    other = candidate([[0.6, 0.1]], (0.0, 1.0))
    apart = by_class([car, bus, other, candidate([])])
    assert apart[0, 1] == pytest.approx(2.0)  # no box of its class
    assert apart[0, 2] == pytest.approx(1.0)  # the same class, at right angles
    assert apart[0, 3] == pytest.approx(2.0) and apart[3, 3] == 0.0


@pytest.mark.parametrize("name", sorted(acquisitions()))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 25), size=st.integers(0, 20))
def test_choose__as_many_as_asked_each_once_and_the_same_again(name: str, seed: int, count: int, size: int) -> None:
    given_ = pool(drawn(seed, size), drawn(seed + 1, 3))
    chosen = acquisition(name).choose(given_, count)
    assert len(chosen) == len(set(chosen)) == min(count, size)
    assert set(chosen) <= set(range(size))
    assert chosen == acquisition(name).choose(given_, count)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("entropy", candidate([[0.5, 0.5]])),
        ("margin", candidate([[0.62, 0.6]])),
        ("missed", candidate([], unexplained_motion=0.9)),
        ("inconsistency", candidate([[0.9, 0.0]], inconsistency=0.8)),
        ("ours", candidate([[0.5, 0.5]], inconsistency=0.8, unexplained_motion=0.9)),
        ("core-set", candidate([], (-1.0, 0.0))),
        ("badge", candidate([[0.5, 0.5]])),
    ],
)
def test_choose__finds_what_it_looks_for(name: str, wanted: Candidate) -> None:
    dull = [candidate([[0.97, 0.01]], (1.0, 0.01 * i), time=100.0 * i) for i in range(5)]
    given_ = pool([*dull[:3], wanted, *dull[3:]], [candidate([[0.97, 0.01]])])
    assert acquisition(name).choose(given_, 1) == [3]


def test_ours__does_not_ask_the_same_twice() -> None:
    twins = [candidate([[0.5, 0.5]], time=float(i) / 10) for i in range(4)]
    other = candidate([[0.7, 0.1]], (0.0, 1.0), "b", 50.0)
    assert 4 in acquisition("ours").choose(pool([*twins, other]), 2)


def test_ours__a_blurred_frame_comes_last() -> None:
    blurred = candidate([[0.5, 0.5]], (0.0, 1.0), "b", blur=0.95)
    plain = candidate([[0.6, 0.3]], (1.0, 0.0), "c", 9.0)
    sure = candidate([[0.99, 0.0]], (0.7, 0.7), "d", 90.0)
    assert acquisition("ours").choose(pool([blurred, plain, sure]), 1) == [1]


def test_seconds__of_an_empty_frame_is_a_look() -> None:
    assert seconds(candidate([])) == LOOK_S
    assert seconds(candidate([[0.9, 0.0]])) == pytest.approx(LOOK_S + CONFIRM_S)
    assert seconds(candidate([[0.4, 0.0]])) == pytest.approx(LOOK_S + CONFIRM_S + 0.3 * BOX_S)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (candidate([[0.5, 0.0]] * 4), "confirm"),
        (candidate([[0.95, 0.0]], unexplained_motion=0.9), "missing"),
        (candidate([[0.9, 0.85]]), "tag"),
    ],
)
def test_questions__the_cheapest_that_mends_most_is_first(frame: Candidate, kind: str) -> None:
    assert questions(frame)[0].kind == kind
