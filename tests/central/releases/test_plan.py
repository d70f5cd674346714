"""Plans: who is in which wave, and what a plan may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.releases.rollout import RolloutError, plan
from central.releases.rollout.plan import Member, Wave, make, parse

FLEET = [Member(f"n{i}", "lab" if i < 2 else "north", frozenset({"dark"} if i == 5 else ())) for i in range(8)]


def waves(raw: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    return [(w.group, w.nodes) for w in make(parse({"order": "name", **raw}), FLEET)]


def test_make__groups_first_then_the_rest_and_a_group_ends_a_wave() -> None:
    raw = {
        "groups": [{"name": "canary", "sites": ["lab"]}, {"name": "dark", "tags": ["dark"], "nodes": ["n7", "n0"]}],
        "rest": True,
        "waves": [1, "75%"],
    }
    assert waves(raw) == [
        ("canary", ("n0",)), ("canary", ("n1",)), ("dark", ("n5", "n7")), ("rest", ("n2", "n3")),
        ("rest", ("n4", "n6")),
    ]  # fmt: skip


def test_make__without_the_rest_others_are_left_out() -> None:
    assert waves({"groups": [{"name": "canary", "sites": ["lab"]}], "waves": ["100%"]}) == [("canary", ("n0", "n1"))]


@pytest.mark.parametrize(
    ("given_waves", "sizes"), [([], [1, 3, 8]), ([2], [2, 8]), (["25%", "50%"], [2, 4, 8]), ([5, 99], [5, 8])]
)
def test_make__sizes_count_all_so_far(given_waves: list[Any], sizes: list[int]) -> None:
    ends, total = [], 0
    for _, nodes in waves({"waves": given_waves}):
        total += len(nodes)
        ends.append(total)
    assert ends == sizes


def test_make__by_chance_but_the_same_for_the_same_seed() -> None:
    drawn = {tuple(make(parse({"seed": seed, "waves": [4]}), FLEET)) for seed in range(20)}
    assert len(drawn) > 10
    assert make(parse({"seed": 3}), FLEET) == make(parse({"seed": 3}), FLEET[::-1])


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 300), seed=st.integers(0, 99), first=st.floats(0.001, 1.0), growth=st.floats(1.01, 50.0))
def test_make__everybody_once(count: int, seed: int, first: float, growth: float) -> None:
    fleet = [Member(f"n{i}", f"s{i % 3}") for i in range(count)]
    raw = {"groups": [{"name": "a", "sites": ["s1"]}], "rest": True, "seed": seed, "first": first, "growth": growth}
    made: list[Wave] = make(parse(raw), fleet)
    nodes = [node for wave in made for node in wave.nodes]
    assert sorted(nodes) == sorted(m.node for m in fleet)
    assert all(wave.nodes for wave in made)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"wavs": []}, "unknown field `wavs`"),
        ({"waves": [3, 2]}, "must grow"),
        ({"waves": ["50%", "20%"]}, "and grow"),
        ({"waves": ["120%"]}, "up to 100"),
        ({"waves": ["few"]}, "plan:"),
        ({"first": 0}, "first"),
        ({"growth": 1}, "growth"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"acceptable": 1.5}, "acceptable"),
        ({"on_halt": "pray"}, "on_halt"),
        ({"gates": {"luck": {}}}, "no gate 'luck'"),
        ({"gates": {"install": {"limt": 1}}}, "unknown field `limt`"),
        ({"groups": [{"name": "a"}, {"name": "a"}]}, "different names"),
        ({"groups": [{"name": "rest"}]}, "none may be 'rest'"),
    ],
)
def test_parse__says_what_is_wrong(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(RolloutError, match="plan:") as error:
        parse(raw)
    assert says in str(error.value)


def test_parse__keeps_what_it_renders() -> None:
    parsed = parse({"groups": [{"name": "a", "sites": ["x"]}], "waves": [1, "10%"], "gates": {"latency": {"limit": 2}}})
    assert parse(plan.render(parsed)) == parsed
