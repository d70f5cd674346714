"""Which frames are worth sending: a randomised draw with a known probability, under a quota. One file per policy."""

from __future__ import annotations

from random import Random
from typing import Protocol

from protocols import slots
from protocols.messages import Assessment, Policy, Selection


class Selector(Protocol):
    """The policy at work on one camera."""

    def decide(self, assessment: Assessment, now: float) -> Selection:
        """Return the decision about a frame assessed at monotonic time `now` (seconds, never decreasing).

        The inclusion probability is known before the draw and logged with every frame, kept or not."""
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
