"""Each gate: when it passes, when it fails, and when it has not seen enough."""

from __future__ import annotations

from typing import Any

import pytest

from central.annotate.estimate import Interval
from central.releases.gates import Accuracy, Evidence, NodeEvidence, State, Verdict, gates
from central.releases.gates.difference import difference
from central.releases.halting import Rule
from protocols.messages import Shadow, ShadowCamera


def judged(name: str, evidence: Evidence, limit: float | None = None, rule: Rule | None = None) -> Verdict:
    gate, rule = gates()[name], rule or Rule()
    own = gate.limit if limit is None else limit
    return gate.judge(evidence, rule.acceptable if own is None else own, rule)


def evidence(*nodes: NodeEvidence, settled: bool = True, **more: Any) -> Evidence:
    return Evidence(sum(n.state == "failed" for n in nodes), len(nodes), settled, nodes, **more)


def node(name: str = "n", state: State = "healthy", **more: Any) -> NodeEvidence:
    return NodeEvidence(name, state, **more)


def seen(agreement: float | None = 0.9, shift: float | None = 0.0, frames: int = 40, **more: Any) -> Shadow:
    return Shadow(frames=frames, agreement=agreement, score_shift=shift, **more)


def interval(value: float, half: float = 0.01) -> Interval:
    return Interval(value, value - half, value + half, 100)


def pair(before: float | None, after: float | None, half: float = 0.01, camera: str = "") -> Accuracy:
    old, new = (None if v is None else interval(v, half) for v in (before, after))
    return Accuracy(camera, old, new, old, new)


def test_gates__are_found_and_describe_themselves() -> None:
    assert set(gates()) == {
        "install", "parity", "latency", "crashes", "agreement", "score_shift", "accuracy", "worst_camera",
    }  # fmt: skip
    assert all(gate.does and gate.unit for gate in gates().values())
    assert [name for name, gate in gates().items() if gate.required] == ["install"]


@pytest.mark.parametrize(
    ("nodes", "settled", "outcome"),
    [
        ([], True, "not_enough"),
        ([node()], False, "not_enough"),
        ([node()], True, "pass"),
        ([node(), node(state="failed", reason="disk full")], True, "fail"),
        ([node(), node(state="failed")], False, "fail"),
        ([node(state="failed"), *[node()] * 19], True, "pass"),
        ([*[node(state="failed")] * 2, *[node()] * 18], True, "fail"),
    ],
)
def test_install__by_the_halting_rule(nodes: list[NodeEvidence], settled: bool, outcome: str) -> None:
    verdict = judged("install", evidence(*nodes, settled=settled))
    assert verdict.outcome == outcome
    if nodes and nodes[-1].reason:
        assert "n: disk full" in verdict.reason


def test_parity__one_kind_of_device_is_enough() -> None:
    fine = [node(f"a{i}", backend="cpu", reached=True) for i in range(200)]
    wrong = [
        node(f"t{i}", "failed", backend="tensorrt", failed_step="checking", reason="scores off by 0.2")
        for i in range(2)
    ]
    verdict = judged("parity", evidence(*fine, *wrong))
    assert judged("install", evidence(*fine, *wrong)).outcome == "pass"
    assert (verdict.outcome, verdict.value) == ("fail", 1.0)
    assert "2 of 2 nodes with tensorrt differ; t0: scores off by 0.2" in verdict.reason
    other = [node(f"o{i}", "failed", backend="tensorrt", failed_step="fetching") for i in range(2)]
    assert judged("parity", evidence(*fine, *other)).outcome == "pass"
    assert judged("parity", evidence(node())).outcome == "not_enough"


def test_parity__a_node_that_names_no_step_is_understood_by_its_reason() -> None:
    assert judged("parity", evidence(node(state="failed", reason="checking: boxes are off"))).outcome == "fail"


@pytest.mark.parametrize(
    ("nodes", "outcome", "value"),
    [
        ([node()], "not_enough", None),
        ([node(shadow=seen(latency_before_ms=20, latency_after_ms=22))], "pass", 1.1),
        ([node(shadow=seen(latency_before_ms=0.7, latency_after_ms=2.1))], "pass", 1.0),
        ([node(shadow=seen(latency_before_ms=2.1, latency_after_ms=0.7))], "pass", 1 / 3),
        ([node(before={"latency_p50_ms": 10.0}, after={"latency_p50_ms": 20.0})], "fail", 2.0),
        ([node(state="pending", before={"latency_p50_ms": 10.0}, after={"latency_p50_ms": 20.0})], "not_enough", None),
        (
            [
                node(
                    shadow=seen(latency_before_ms=20, latency_after_ms=22),
                    before={"latency_p50_ms": 10.0}, after={"latency_p50_ms": 14.0},
                )
            ],
            "fail", 1.4,
        ),
    ],
)  # fmt: skip
def test_latency__the_larger_of_shadow_and_life(nodes: list[NodeEvidence], outcome: str, value: float | None) -> None:
    verdict = judged("latency", evidence(*nodes))
    assert verdict.outcome == outcome
    assert verdict.value == (None if value is None else pytest.approx(value))


def test_latency__one_slow_node_does_not_decide() -> None:
    nodes = [node(f"n{i}", shadow=seen(latency_before_ms=10, latency_after_ms=30 if i == 0 else 10)) for i in range(3)]
    verdict = judged("latency", evidence(*nodes))
    assert verdict.outcome == "pass"
    assert "n0: 3.00" in verdict.reason


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [([None, None], "not_enough"), ([0, None], "pass"), ([0, 3], "fail"), ([1, *[0] * 15], "pass")],
)
def test_crashes__by_the_halting_rule(counts: list[int | None], outcome: str) -> None:
    assert judged("crashes", evidence(*(node(f"n{i}", crashes=c) for i, c in enumerate(counts)))).outcome == outcome


@pytest.mark.parametrize(
    ("shadows", "outcome"),
    [
        ([], "not_enough"),
        ([seen(0.9, frames=19)], "not_enough"),
        ([seen(None, None)], "not_enough"),
        ([seen(0.9, frames=10), seen(0.9, frames=10)], "pass"),
        ([seen(0.2)], "fail"),
        ([seen(0.2, frames=5), seen(0.9, frames=40)], "pass"),
    ],
)
def test_agreement__weighted_by_frames(shadows: list[Shadow], outcome: str) -> None:
    nodes = [node(f"n{i}", shadow=shadow) for i, shadow in enumerate(shadows)]
    assert judged("agreement", evidence(*nodes)).outcome == outcome


@pytest.mark.parametrize(("shift", "outcome"), [(0.1, "pass"), (0.2, "fail"), (-0.2, "fail"), (None, "not_enough")])
def test_score_shift__either_way(shift: float | None, outcome: str) -> None:
    assert judged("score_shift", evidence(node(shadow=seen(shift=shift)))).outcome == outcome


@pytest.mark.parametrize(
    ("overall", "outcome"),
    [
        (None, "not_enough"),
        (pair(None, 0.8), "not_enough"),
        (pair(0.8, 0.8), "pass"),
        (pair(0.8, 0.9), "pass"),
        (pair(0.8, 0.7), "fail"),
        (pair(0.8, 0.79, half=0.02), "pass"),
        (pair(0.8, 0.79, half=0.2), "not_enough"),
        (pair(0.8, 0.7, half=0.1), "not_enough"),
        (pair(0.8, 0.9, half=0.3), "not_enough"),
    ],
)
def test_accuracy__decided_by_the_interval(overall: Accuracy | None, outcome: str) -> None:
    assert judged("accuracy", evidence(node(), overall=overall)).outcome == outcome


def test_accuracy__what_is_right_counts_as_what_is_found() -> None:
    same, worse = interval(0.8), interval(0.6)
    assert judged("accuracy", evidence(overall=Accuracy("", same, same, same, worse))).outcome == "fail"
    assert judged("accuracy", evidence(overall=Accuracy("", same, same, None, worse))).outcome == "not_enough"


def test_worst_camera__hidden_by_the_average() -> None:
    cameras = [ShadowCamera(camera=f"c{i}", frames=40, agreement=0.05 if i == 3 else 0.95) for i in range(4)]
    nodes = evidence(node(shadow=seen(0.72, cameras=cameras)))
    assert judged("agreement", nodes).outcome == "pass"
    verdict = judged("worst_camera", nodes)
    assert (verdict.outcome, verdict.value) == ("fail", 0.05)
    assert "1 of 4 cameras lost what they saw; n/c3: agreement 0.05" in verdict.reason


@pytest.mark.parametrize(
    ("frames", "agreement", "outcome"), [(4, 0.0, "not_enough"), (5, 0.0, "fail"), (40, None, "not_enough")]
)
def test_worst_camera__needs_frames_with_boxes(frames: int, agreement: float | None, outcome: str) -> None:
    cameras = [ShadowCamera(camera="c", frames=frames, agreement=agreement)]
    assert judged("worst_camera", evidence(node(shadow=seen(cameras=cameras)))).outcome == outcome


def test_worst_camera__field_accuracy_counts_where_it_certainly_fell() -> None:
    good, bad = pair(0.8, 0.8, camera="n/c1"), pair(0.8, 0.5, camera="n/c2")
    assert judged("worst_camera", evidence(cameras=[good])).outcome == "pass"
    verdict = judged("worst_camera", evidence(cameras=[good, bad]))
    assert verdict.outcome == "fail"
    assert "n/c2: -30.0 points" in verdict.reason


def test_difference__is_newcombes() -> None:
    """Newcombe 1998, table II, (a) 56/70 and 48/80: difference 0.2, 95 % interval 0.0524 to 0.3339."""
    found = difference(Interval(0.6, 0.4904, 0.7003, 80), Interval(0.8, 0.6917, 0.8774, 70))
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=2e-3), pytest.approx(0.3339, abs=2e-3))
    assert difference(None, interval(0.5)) is None
