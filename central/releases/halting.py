"""When a rollout must stop: waves that grow, and an exact test of each wave's failures before the next one.

Pure rules, so that they can be simulated before a city depends on them (`python -m benchmarks.rollout`).

A node that fell silent counts as failed. Before a wave grows, the failures among all nodes that were offered the
release are tested against the share that is acceptable: one-sided exact binomial test (Clopper and Pearson, Biometrika
1934).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

FIRST_SHARE: Final = 0.003
"""Of the fleet, in the first wave; at least one node."""
GROWTH: Final = 10**0.5
"""From wave to wave: ten times as many nodes every second wave."""


@dataclass(frozen=True)
class Rule:
    """What is acceptable. Both are shares, 0..1."""

    acceptable: float = 0.01
    """Of the nodes: so many fail for reasons of their own, whatever is released."""
    significance: float = 0.08
    """Stop where failures as many as these, or more, would come about with less than this probability."""

    def __post_init__(self) -> None:
        if not 0 < self.acceptable < 1 or not 0 < self.significance < 1:
            raise ValueError(f"acceptable {self.acceptable} and significance {self.significance} must lie in 0..1")


def waves(nodes: int, first: float = FIRST_SHARE, growth: float = GROWTH) -> list[int]:
    """Return after each wave how many of `nodes` have the release; the last is all of them.

    Raises ValueError where `first` is no share or `growth` does not grow.
    """
    if not 0 < first <= 1 or not growth > 1:
        raise ValueError(f"first {first} must lie in 0..1 and growth {growth} be above 1")
    sizes: list[int] = []
    size = max(1.0, nodes * first)
    while round(size) < nodes:
        if not sizes or round(size) > sizes[-1]:
            sizes.append(round(size))
        size *= growth
    return [*sizes, nodes] if nodes > 0 else []


def tail(failed: int, judged: int, share: float) -> float:
    """Return the probability of `failed` or more failures among `judged` nodes that each fail with `share`."""
    below = math.fsum(
        math.exp(
            math.lgamma(judged + 1) - math.lgamma(k + 1) - math.lgamma(judged - k + 1)
            + k * math.log(share) + (judged - k) * math.log1p(-share)
        )
        for k in range(min(failed, judged + 1))
    )  # fmt: skip
    return min(1.0, max(0.0, 1.0 - below))


def must_halt(failed: int, judged: int, rule: Rule) -> bool:
    """Say whether `failed` of the `judged` nodes, the silent ones among them, are more than `rule` puts up with."""
    return failed > 0 and tail(failed, judged, rule.acceptable) < rule.significance


def most_failures(judged: int, rule: Rule) -> int:
    """Return how many of `judged` nodes may fail without a halt."""
    failed = 0
    while failed < judged and not must_halt(failed + 1, judged, rule):
        failed += 1
    return failed
