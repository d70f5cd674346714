"""The baselines decide as their publications say."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from edge.runtime import Detections, Inference
from edge.select import coreset, kinds, missed, sedna_cross_entropy, sedna_ibt, sedna_threshold
from protocols.messages import Assessment, Policy


def seen(scores: list[float], embedding: list[float] | None = None) -> Inference:
    count = len(scores)
    found = Detections(np.zeros((count, 4), np.float32), np.array(scores, np.float32), np.zeros(count, np.int64))
    row = None if embedding is None else np.array(embedding, np.float32) / np.linalg.norm(embedding)
    return Inference(found, embedding=row)


@pytest.mark.parametrize(
    ("scores", "ibt", "entropy", "threshold"),
    [
        ([], False, False, False),
        ([0.9, 0.8], False, False, False),
        ([0.5, 0.9], True, True, False),
        ([0.4, 0.3], True, True, True),
        ([0.6, 0.7, 0.4], False, True, False),
        ([0.99, 0.98], False, False, False),
        ([0.2], True, False, True),
    ],
)
def test_sedna__table(scores: list[float], ibt: bool, entropy: bool, threshold: bool) -> None:
    inference = seen(scores)
    assert sedna_ibt.hard(Assessment(), inference)[0] is ibt
    assert sedna_threshold.hard(Assessment(), inference)[0] is threshold
    assert sedna_cross_entropy.hard(Assessment(), inference)[0] is entropy


def test_sedna_cross_entropy__by_hand() -> None:
    """1 + (0.9 ln 0.9 + 0.8 ln 0.8) / ln 2 = 0.606: not hard; with 0.7 and 0.6, 0.0 and less: hard."""
    assert sedna_cross_entropy.hard(Assessment(), seen([0.9, 0.8])) == (False, "confidence by cross-entropy 0.61")
    assert sedna_cross_entropy.hard(Assessment(), seen([0.7, 0.6]))[0]


@pytest.mark.parametrize("name", ["sedna-ibt", "sedna-cross-entropy", "sedna-threshold"])
def test_sedna__an_empty_prediction_is_only_ever_audited(name: str) -> None:
    policy = Policy(version=1, policy=name, frames_per_hour=36000.0, min_gap_s=0.0, audit_share=0.0)
    selector = kinds()[name].create(policy, Random(1))
    assert not any(selector.decide(Assessment(), i * 0.1, seen([])).keep for i in range(200))


def test_missed__odds_follow_either_evidence() -> None:
    assert missed.evidence(Assessment(unexplained_motion=0.5, inconsistency=0.5))[0] == pytest.approx(0.75)
    assert missed.evidence(Assessment(uncertainty=1.0, novelty=1.0))[0] == 0.0
    policy = Policy(version=1, policy="missed", frames_per_hour=600.0, min_gap_s=0.0, audit_share=0.0)
    selector = kinds()["missed"].create(policy, Random(1))
    rows = [
        selector.decide(Assessment(unexplained_motion=0.8 if i % 10 == 0 else 0.0, uncertainty=0.9), i * 0.2)
        for i in range(500)
    ]
    assert rows[490].probability > 100 * rows[491].probability > 0


def test_coreset__keeps_one_of_each_view() -> None:
    policy = Policy(version=1, policy="core-set", frames_per_hour=3600.0, min_gap_s=0.0, audit_share=0.0)
    selector = kinds()["core-set"].create(policy, Random(1))
    views = np.eye(8)
    kept = [i for i in range(400) if selector.decide(Assessment(), i * 0.2, seen([], list(views[i // 50]))).keep]
    assert [i // 50 for i in kept] == list(range(8))


def test_coreset__merges_where_there_are_too_many_centres() -> None:
    angles = np.linspace(0, 1.5, coreset.CENTRES + 1)
    judge = coreset.Coreset()
    for angle in angles:
        judge.kept(seen([], [np.cos(angle), np.sin(angle)]))
    assert len(judge._centres) <= coreset.CENTRES


def test_entropy__draws_the_doubtful() -> None:
    policy = Policy(version=1, policy="entropy", frames_per_hour=600.0, min_gap_s=0.0, audit_share=0.0)
    selector = kinds()["entropy"].create(policy, Random(1))
    rows = [selector.decide(Assessment(uncertainty=0.8 if i % 10 == 0 else 0.1), i * 0.2) for i in range(500)]
    assert rows[490].probability > 30 * rows[491].probability
