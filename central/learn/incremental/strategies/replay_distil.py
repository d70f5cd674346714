"""A memory of the past, the teacher's labels for what nobody labelled, and a light hand of the teacher."""

from __future__ import annotations

from typing import Final

from central.learn import families
from central.learn.incremental import Lesson, Task, drawn
from central.learn.incremental.memory import choose
from central.learn.incremental.pseudo import label, open_to, thresholds

WEIGHT: Final = 0.5
"""Of the teacher's responses; at full weight beside a memory they keep the new from being learned, at a quarter more of
the old is lost than the new gains."""


class ReplayDistil:
    """The default: each protection at part of its weight, since all of them at full weight stop learning."""

    name = "replay-distil"
    about = "a memory of the past, the running pack's labels where nobody labelled, its responses at half weight"

    def prepare(self, task: Task) -> Lesson:
        """Return a lesson of the new frames, completed, and those of the memory, with a tutor."""
        kept = [task.past[i] for i in choose(task.past, task.memory, task.seed)]
        new, guessed = list(task.new), 0
        if open_to(task.teacher, new, task.labels):  # else the teacher would look through the memory for nothing
            new, guessed = label(task.teacher, new, task.labels, thresholds(task.teacher, kept, task.labels))
        tutor = families.of(task.teacher.config).tutor(task.teacher, task.labels, WEIGHT)
        return Lesson([*new, *kept], drawn(new, kept), tutor, remembered=len(kept), guessed=guessed)


STRATEGY = ReplayDistil()
