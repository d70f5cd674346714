"""What the baselines with a fixed rule share: a frame that the rule calls hard is kept until the quotas are used up."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from edge.runtime import Inference
from edge.select import Selector
from edge.select.draw import Draw, Judgement
from edge.select.quota import Allowance
from protocols.messages import Assessment, Policy

Rule = Callable[[Assessment, Inference | None], tuple[bool, str]]
"""Whether a frame is hard, and why it is or is not, in words."""


class Filter:
    """Judges by a rule. Implements `edge.select.draw.Judge`."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return one where the rule holds and the bucket has a frame, else zero."""
        hard, why = self._rule(assessment, inference)
        if hard and not allowance.token:
            return 0.0, "the quota is used up for now"
        return float(hard), why

    def kept(self, inference: Inference | None) -> None:
        """Nothing to note."""


class FilterPolicy:
    """A member of `edge.select` made of a rule."""

    def __init__(self, name: str, rule: Rule) -> None:
        self.name, self._rule = name, rule

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return the selector of one camera."""
        return Draw(policy, random, Filter(self._rule), chance=False)
