"""Half new frames, half of the past out of a memory."""

from __future__ import annotations

from central.learn.incremental import Lesson, Task, drawn
from central.learn.incremental.memory import choose


class Replay:
    """Experience replay (Rolnick et al., NeurIPS 2019) from a memory in balance."""

    name = "replay"
    about = "half new frames, half of the past, from a memory in balance"

    def prepare(self, task: Task) -> Lesson:
        """Return a lesson of the new frames and those of the memory."""
        kept = [task.past[i] for i in choose(task.past, task.memory, task.seed)]
        return Lesson([*task.new, *kept], drawn(task.new, kept), remembered=len(kept))


STRATEGY = Replay()
