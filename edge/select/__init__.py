"""Which frames are worth sending: a randomised draw with a known probability, under quotas. One file per policy.

    assessment -> Judge (the policy: how much, and why) -> Draw (quotas, gap, audit, chance) -> Selection
                                                             |  ^
                                                             v  `-- settle: what the frame weighed, once encoded
                                                           Quota (history of this camera; survives a change of policy)
"""

from __future__ import annotations

from random import Random
from typing import Protocol

from edge.runtime import Inference
from edge.select.quota import Quota
from protocols import slots
from protocols.messages import Assessment, Policy, Selection


class Selector(Protocol):
    """The policy at work on one camera."""

    quota: Quota

    def decide(self, assessment: Assessment, now: float, inference: Inference | None = None) -> Selection:
        """Return the decision about a frame assessed at monotonic time `now` (seconds, never decreasing).

        The inclusion probability is known before the draw and logged with every frame, kept or not. `inference` is
        what the model said, for policies that look at detections or embeddings."""
        ...

    def most_bytes(self) -> int | None:
        """Return what the frame just kept may weigh, in bytes; None where no quota counts them."""
        ...

    def settle(self, size: int) -> None:
        """Tell what the oldest kept frame weighed, in bytes; 0 where it was lost. May be called on another thread."""
        ...

    def follow(self, other: Selector) -> None:
        """Take over what `other` spent, so that a change of policy opens no new quota."""
        ...


class PolicyKind(Protocol):
    """A member of this family."""

    name: str

    def create(self, policy: Policy, random: Random) -> Selector:
        """Return a selector that follows `policy`, drawing from `random`."""
        ...


def kinds() -> dict[str, PolicyKind]:
    """Return every policy by name."""
    return slots.members("edge.select", "POLICY")
