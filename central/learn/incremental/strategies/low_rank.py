"""Replay, with thin factors in the trunk: for updates that must be small."""

from __future__ import annotations

from dataclasses import replace

from central.learn.incremental import Lesson, Task
from central.learn.incremental.strategies.replay import STRATEGY as REPLAY


class LowRankReplay:
    """Heads and norms learn whole, the trunk by low-rank updates. Suits new places, hardly new classes."""

    name = "low-rank"
    about = "replay; heads and norms learn whole, the trunk by low-rank updates"

    def prepare(self, task: Task) -> Lesson:
        """Return the lesson of replay, of which less may learn."""
        return replace(REPLAY.prepare(task), train="low-rank")


STRATEGY = LowRankReplay()
