"""What each strategy gives a run to learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from central.learn.data import Example
from central.learn.incremental import Memory, Task, strategies, strategy
from central.learn.models import ModelConfig, build

Shapes = Callable[[int], list[Example]]
LABELS = ("square", "disc")


def task(shapes: Shapes, memory: Memory | None = None, known: tuple[str, ...] = LABELS) -> Task:
    """Return a task with three new frames, complete for discs alone, and eight of the past."""
    every = shapes(11)
    new = [replace(e, complete=np.array([False, True])) for e in every[:3]]
    teacher = build(ModelConfig(size="tiny", labels=known, height=96, width=96, embedding=16)).eval()
    return Task(teacher, LABELS, new, every[3:], memory or Memory())


def test_strategies__all_have_a_line_of_their_own() -> None:
    found = strategies()
    assert set(found) >= {"finetune", "replay", "distil", "replay-distil", "low-rank", "joint"}
    assert len({s.about for s in found.values()}) == len(found)


@pytest.mark.parametrize("name", sorted(strategies()))
def test_prepare__a_share_for_every_example(shapes: Shapes, name: str) -> None:
    lesson = strategy(name).prepare(task(shapes))
    assert len(lesson.shares) == len(lesson.examples) >= 3
    assert (lesson.shares > 0).all()


def test_finetune__the_new_alone(shapes: Shapes) -> None:
    lesson = strategy("finetune").prepare(task(shapes))
    assert len(lesson.examples) == 3 and lesson.remembered == 0 and lesson.tutor is None


def test_replay__half_the_draws_within_the_memory(shapes: Shapes) -> None:
    lesson = strategy("replay").prepare(task(shapes, Memory(frames=4)))
    assert lesson.remembered == 4
    assert lesson.shares[:3].sum() == pytest.approx(lesson.shares[3:].sum())


def test_distil__needs_no_past(shapes: Shapes) -> None:
    lesson = strategy("distil").prepare(task(shapes))
    assert lesson.tutor is not None and lesson.remembered == 0


def test_replay_distil__completes_what_nobody_labelled(shapes: Shapes) -> None:
    lesson = strategy("replay-distil").prepare(task(shapes, Memory(frames=2)))
    assert lesson.remembered == 2 and lesson.tutor is not None
    assert all(e.complete.all() for e in lesson.examples)


def test_low_rank__less_may_learn(shapes: Shapes) -> None:
    assert strategy("low-rank").prepare(task(shapes)).train == "low-rank"


def test_joint__no_memory_bounds_it(shapes: Shapes) -> None:
    lesson = strategy("joint").prepare(task(shapes, Memory(frames=1)))
    assert len(lesson.examples) == 11 and lesson.fresh


def test_task__known_are_the_shared_classes(shapes: Shapes) -> None:
    assert task(shapes, known=("disc", "ring")).known == ("disc",)
