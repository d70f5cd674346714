"""When a round starts by itself: one file per rule, found by being here (`RULE`).

    State (what is new, which cameras drift, the clock) + Wanted (what the settings ask) -> rule -> a reason, or None

Rules are pure. Whoever asks them (`central.api.starter`) keeps to the pause between rounds, never starts two at once,
and starts none where nothing was labelled.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, cast

from protocols import slots


@dataclass(frozen=True)
class Wanted:
    """What the settings ask for; None or empty: that rule is off."""

    labels: int | None = None
    """New labelled frames."""
    drift_labels: int | None = None
    """New labelled frames of a camera that drifts."""
    schedule: str = ""
    """``daily HH:MM`` or ``weekly DAY HH:MM``, UTC."""


@dataclass(frozen=True)
class State:
    """What is known when the rules are asked."""

    now: datetime
    new: int
    """Frames that were labelled since the last round that was done began."""
    drifting: Mapping[str, int] = field(default_factory=dict)
    """``node/camera`` of those that drift -> frames of it among the new ones."""
    handled: datetime | None = None
    """Up to when the schedule was seen to; None before the first time."""


class Rule(Protocol):
    """One reason to start a round."""

    name: str
    about: str
    """In words, for people."""

    def wish(self, wanted: Wanted) -> str:
        """Return what is asked for, in words; empty where the rule is off."""
        ...

    def due(self, state: State, wanted: Wanted) -> str | None:
        """Return why a round is due now; None where it is not."""
        ...


@functools.cache
def rules() -> dict[str, Rule]:
    """Return every rule by its name."""
    return cast(dict[str, Rule], slots.members(__name__, "RULE"))
