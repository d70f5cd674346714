"""Everything there ever was, at once: what the others are measured against."""

from __future__ import annotations

import numpy as np

from central.learn.incremental import Lesson, Task


class Joint:
    """All frames of past and present, in proportion to their number; the bound of what can be kept."""

    name = "joint"
    about = "all frames of past and present at once: the upper bound, and the most work"

    def prepare(self, task: Task) -> Lesson:
        """Return a lesson of all frames. The memory does not bound it."""
        every = [*task.past, *task.new]
        return Lesson(every, np.ones(len(every)), fresh=True, remembered=len(task.past))


STRATEGY = Joint()
