"""A release's way through the fleet: in waves, judged after each, halted and taken back by itself.

    plan      which nodes, in which waves, judged by which gates            (pure)
    state     which state may follow which                                  (pure)
    observe   what became of one node                                       (pure)
    fared     how a node fares: rates and latencies, before and after       (pure)
    judge     from the gates' verdicts: wait, open the next wave, halt      (pure)
    evidence  what the gates get to see, from the tables
    actions   what people do: plan, start, pause, resume, abort, roll back
    advance   what the centre does by itself, every few seconds: one `step` of each rollout
    back      the way back: the pack that each node had, as new signed releases
    effect    what a wave changed, node by node
    history   who did what, when and why

    planned -> running <-> paused        running -> done         any but planned -> aborted, or
                  |                                               rolling_back -> rolled_back
                  +--> halted -> running (a person), or rolling_back (by itself, where the plan says so)

Rules
- All state is in the tables: whoever is killed, the next process goes on. A change of state names the revision that it
  was decided on, so that of two people one is told that the other was faster.
- A rollout's clock runs only while it runs and the centre has a connection to the broker: neither a clock that was set
  nor a centre that was down makes a node silent.
- A node that is away is not offered anything and counts for nothing; it is offered the release when it comes back.
- A node succeeds when it has said, after installing, that it runs the pack: never by having installed it.
- A release of a rollout is offered to the nodes of the open waves only. When it is stopped, its signature is taken
  back: a node that still hears of it, from whomever, refuses it.
"""

from __future__ import annotations

from typing import Final

CENTRE: Final = "centre"
"""Who did it, where nobody did."""
ACTIVE: Final = ("running", "paused", "halted", "rolling_back")
"""States in which a rollout holds its nodes: no other release may come in between."""
ENDED: Final = ("done", "aborted", "rolled_back")
STOPPED: Final = ("halted", "aborted", "rolling_back", "rolled_back")
"""States in which its release counts no more for whoever has not begun."""
HAD_FAILED: Final = "had failed: "
"""Before the reason of a node that failed and is on its way back."""
OUT: Final = ("offered", "installed", "healthy", "failed")
"""Stages of a node that was offered the release."""


class RolloutError(ValueError):
    """A rollout that cannot be made or changed so. The text says why."""


class StaleError(RolloutError):
    """Somebody else changed the rollout meanwhile."""


class BusyError(RolloutError):
    """Another rollout has these nodes."""
