"""The draw that every policy shares: audit, quotas, gap, chance.

    p  = 1 - (1 - audit) (1 - chosen)        of being kept, where the gap is open
    P  = p x product over the open frames of the last gap of (1 - p)        what is logged

`audit` is the same for every frame, whatever its scores; `chosen` is the policy's. P is the probability of being kept
given all that came before the last gap. The gap itself never makes it zero: that another frame was kept just before is
chance, and P has that chance in it. So 1/P weights what was kept to what was seen without bias (Horvitz and Thompson
1952), although no two frames are ever kept within a gap. Only a hard limit, where it binds, makes P zero, and says so.
"""

from __future__ import annotations

from collections import deque
from math import exp, log
from random import Random
from typing import Final, Protocol

from edge.runtime import Inference
from edge.select import Selector
from edge.select.quota import Allowance, Quota
from protocols.messages import AUDIT_REASON, MAX_TEXT, Assessment, Policy, Selection

MOST_IN_GAP: Final = 0.5
"""Greatest odds that a policy of chance gives a frame whose neighbours are nearer than the gap. Frames sure to be kept
would leave no odds to those beside them, which could then not be weighed at all."""
LEAST: Final = 1e-12
"""Of a chance that is as good as none, where its logarithm is taken."""
Judgement = tuple[float, str]
"""Probability 0..1 that the policy gives a frame, and why, in words."""


class Judge(Protocol):
    """What a policy thinks of one camera's frames."""

    def judge(self, assessment: Assessment, inference: Inference | None, allowance: Allowance) -> Judgement:
        """Return the odds of the frame, asked once for each, in order."""
        ...

    def kept(self, inference: Inference | None) -> None:
        """Note that the frame just judged is kept."""
        ...


class Survival:
    """The chance that no frame of the last `gap` seconds was kept."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._rows: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def chance(self, now: float) -> float:
        """Return it for a frame at `now`, 0..1."""
        while self._rows and now - self._rows[0][0] >= self._gap:
            self._sum -= self._rows.popleft()[1]
        if not self._rows:
            self._sum = 0.0  # what rounding left
        return exp(min(0.0, self._sum))

    def add(self, now: float, probability: float) -> None:
        """Note that a frame at `now` had this probability."""
        if self._gap > 0:
            self._rows.append((now, log(max(LEAST, 1.0 - probability))))
            self._sum += self._rows[-1][1]

    def clear(self) -> None:
        """Begin anew: the gap after a kept frame is over, and nothing could be kept within it."""
        self._rows.clear()
        self._sum = 0.0


class Draw:
    """Draws the frames of one camera. Implements `edge.select.Selector`."""

    def __init__(self, policy: Policy, random: Random, judge: Judge, audited: bool = True, chance: bool = True) -> None:
        """`audited`: whether there is an audit beside the policy's own choice; `chance`: whether that is by chance."""
        self.quota = Quota(policy)
        self._policy, self._random, self._judge = policy, random, judge
        self._audit_share = policy.audit_share if audited else 0.0
        self._survival = Survival(policy.min_gap_s)
        self._within, self._chance = False, chance
        self._audited = audited

    def decide(self, assessment: Assessment, now: float, inference: Inference | None = None) -> Selection:
        """Return the decision; what its probability is, the head of this file says."""
        allowance = self.quota.step(now)
        chosen, why = self._judge.judge(assessment, inference, allowance)
        if self._chance and allowance.seconds < self._policy.min_gap_s:
            chosen = min(chosen, MOST_IN_GAP)
        closed = self.quota.closed()
        shut = closed and self.quota.closed(audit=True)  # what is open to all is open to the audit
        audit = 0.0 if shut else min(1.0, self._audit_share * allowance.frames)
        probability = 1.0 - (1.0 - audit) * (1.0 - (0.0 if closed else chosen))
        waited = self.quota.wait()
        if self._within and waited < 0:
            self._survival.clear()
        self._within = waited >= 0
        chance = self._survival.chance(now)
        self._survival.add(now, probability)
        logged = (probability * chance, audit * chance)
        if self._within:
            return self._selection(False, logged, f"not kept: only {waited:.1f} s after the last kept frame")
        draw = self._random.random()
        if draw >= probability:
            reason = f"not kept: {closed}" if closed and not audit else f"not drawn ({probability:.1%}): {why}"
            return self._selection(False, logged, reason)
        self.quota.spend(now)
        self._judge.kept(inference)
        return self._selection(True, logged, AUDIT_REASON if draw < audit else why)

    def _selection(self, keep: bool, probability: tuple[float, float], reason: str) -> Selection:
        return Selection(
            keep=keep, probability=probability[0], reason=reason[:MAX_TEXT], policy=self._policy.policy,
            audit=probability[1] if self._audited else None,
        )  # fmt: skip

    def most_bytes(self) -> int | None:
        """Return what the frame just kept may weigh, in bytes; None where no quota counts them."""
        return self.quota.most_bytes()

    def settle(self, size: int) -> None:
        """Tell what the oldest kept frame weighed, in bytes; 0 where it was lost. Any thread."""
        self.quota.history.settle(size)

    def follow(self, other: Selector) -> None:
        """Take over what `other` spent."""
        self.quota = Quota(self._policy, other.quota.history)
