"""The lesson of a round, and its training."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from central.learn import families, incremental
from central.learn.data import Example
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run
from central.learn.distributed import ALONE, Group
from central.learn.incremental import Lesson, Task
from central.learn.material import boxes_of, hold_down
from central.learn.round import Tell
from central.learn.round.plan import Plan
from central.learn.transfer import planted, update_of

BATCH: Final = 8
MIN_STEPS: Final = 80
MAX_STEPS: Final = 2000
SAVE_EVERY: Final = 50
"""Steps after which a checkpoint is written: half a minute's work is lost by a kill, at most."""
SPAN: Final = (0.05, 0.85)
"""Part of a round's progress that is its training."""


@dataclass(frozen=True)
class Trained:
    """A network that learned, on the CPU."""

    network: Any
    history: list[dict[str, Any]]
    """A row now and then: ``step`` and the parts of the loss."""
    steps: int
    seconds: float
    """Of this start alone; a round that was resumed trained before, too."""
    skipped: list[str]
    """Images that could not be read."""


def lesson(plan: Plan) -> tuple[Lesson, list[str]]:
    """Return what the round's strategy makes of its material, and what was held down, in words."""
    teacher = plan.network(plan.parent, plan.parent_labels)
    material = plan.material
    new, past = plan.shown(material.new), plan.shown(material.past)
    found = incremental.strategy(plan.strategy).prepare(Task(teacher, plan.labels, new, past, plan.memory, plan.seed))
    shares, held = hold_down([e.camera for e in found.examples], found.shares, boxes=boxes_of(found.examples))
    return replace(found, shares=shares, train=update_of(plan.update) or found.train), held


def steps_for(plan: Plan, examples: list[Example]) -> int:
    """Return how many steps a round of `examples` trains."""
    return min(MAX_STEPS, max(MIN_STEPS, plan.epochs * len(examples) // BATCH))


def train_together(plan: Plan, found: Lesson, tell: Tell, workers: int) -> Trained:
    """Train on `workers` workers of the cluster that this runs on. Raises TrainingError, TrainingJobError.

    The run is in its folder then, and is only read here: a run that is at its end trains no more.
    """
    from central.jobs.training import spread, watched

    begun, steps = time.monotonic(), steps_for(plan, found.examples)
    with watched(plan.folder / "train", steps, lambda row: tell(told({"eta_s": None, **row}))):
        spread(lambda group: _nothing(train(plan, found, _silent, group)), workers, plan.folder / "workers")
    return replace(train(plan, found, tell), seconds=time.monotonic() - begun)


def _nothing(_trained: Trained) -> None:
    """What a worker made is in the run's folder."""


def _silent(_step: Any) -> None:
    """Nobody listens to a worker; its metrics are read."""


def told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a row of metrics."""
    low, high = SPAN
    return {
        "stage": "training", "state": "training", "progress": low + (high - low) * row["step"] / row["steps"],
        "eta_s": row["eta_s"], "step": row["step"],
        "detail": f"step {row['step']} of {row['steps']}, loss {row['loss']:.2f}",
    }  # fmt: skip


def train(plan: Plan, found: Lesson, tell: Tell, group: Group = ALONE) -> Trained:
    """Train, from the last checkpoint where there is one. Raises TrainingError."""
    start = plan.network(plan.origin if found.fresh else plan.parent, plan.labels, plan.tags)
    if plan.weights is not None:
        start = planted(start, plan.weights)
    model: families.AnyConfig = start.config
    steps = steps_for(plan, found.examples)
    config = TrainConfig(
        model=model, steps=steps, batch=BATCH, rate=families.of(model).tuning_rate, warmup=steps // 10,
        augment="light", freeze_norms=True, average=0.99, evaluate_every=0, save_every=SAVE_EVERY, seed=plan.seed,
        workers=1 if (os.cpu_count() or 1) > 1 else 0, train=found.train,
    )  # fmt: skip
    run = Run(
        config, found.examples, [], plan.folder / "train", found.shares, start.state_dict(), group=group,
        tutor=found.tutor,
    )  # fmt: skip
    result = run.run(lambda row: tell(told(row)))
    return Trained(result.network, result.history, steps, result.seconds, result.skipped)
