"""A recording assessed once, and selected from many times: what the figures of the selection share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import msgspec
import numpy as np

from edge.assess import Score
from edge.assess.assessor import Assessor
from edge.assess.redundancy import Redundancy
from edge.runtime import Inference
from edge.runtime.model import Model
from edge.select import kinds
from edge.sources import Frame
from protocols.messages import Assessment, Policy

NO_PIXELS: Final = np.zeros((1, 1, 3), np.uint8)
"""In place of an image that no score looks at any more."""


@dataclass(frozen=True)
class Seen:
    """One assessed frame; `now` in seconds of the recording."""

    now: float
    frame: Frame
    assessment: Assessment
    inference: Inference


def watch(frames: Iterable[Frame], model: Model, fps: float, limit: int | None = None) -> list[Seen]:
    """Assess `frames`, taken at `fps`, without selecting any."""
    assessor, seen = Assessor(), []
    for index, frame in enumerate(frames):
        if limit is not None and index >= limit:
            break
        inference = model.infer(frame.image)
        assessment = assessor.assess(frame, inference, model.labels)
        kept = replace(inference, blur_map=None)
        seen.append(Seen(index / fps, replace(frame, image=NO_PIXELS), assessment, kept))
    return seen


def replay(seen: list[Seen], policy: Policy, seed: int) -> list[int]:
    """Return the indices of the frames that `policy` keeps; redundancy is that to what is kept in this replay."""
    selector = kinds()[policy.policy].create(policy, Random(seed))
    lately: Any = Redundancy()
    score: Score = lately
    kept = []
    for index, row in enumerate(seen):
        verdict = score.assess(row.frame, row.inference, ())
        assessment = msgspec.structs.replace(row.assessment, redundancy=None if verdict is None else verdict.value)
        if selector.decide(assessment, row.now, row.inference).keep:
            selector.settle(0)
            lately.selected(row.inference)
            kept.append(index)
    return kept
