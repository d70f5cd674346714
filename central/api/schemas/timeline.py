"""How cameras went: lines of scores, what was wrong, and the frames that were kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from central.api.schemas.base import View
from central.api.schemas.frames import FrameState


class TimelinePoint(View):
    """Stored frames of one step. A score that none of them has is not listed."""

    at: datetime = Field(description="Begin of the step.")
    frames: int
    mean: dict[str, float]
    highest: dict[str, float]


class TimelineFrame(View):
    """The most valuable stored frame of one step."""

    id: str
    at: datetime
    state: FrameState
    reason: str
    scores: dict[str, float]


class TimelineSpan(View):
    """Something that was wrong: an alert of the camera, or its node away."""

    kind: Literal["alert", "away"]
    text: str
    start: datetime | None = Field(description="Null where it began before.")
    end: datetime | None = Field(description="Null where it did not end before the last point.")


class TimelineView(View):
    """One camera between two times."""

    node: str
    camera: str
    start: datetime
    end: datetime
    step_s: int = Field(description="Seconds from one point to the next.")
    frames: int = Field(description="Stored frames, of all points together.")
    points: list[TimelinePoint] = Field(description="Only steps of which frames were stored, oldest first.")
    marked: list[TimelineFrame]
    spans: list[TimelineSpan]
    blur: list[float | None] = Field(
        description="Means over all assessed frames, one per step, null where nothing was said; empty where never."
    )
    uncertainty: list[float | None]


class TrendView(View):
    """One camera's lines, oldest first; null where nothing was said."""

    node: str
    camera: str
    blur: list[float | None]
    uncertainty: list[float | None]


class TrendsView(View):
    """How blur and uncertainty of every camera went."""

    start: datetime
    end: datetime
    cameras: list[TrendView]
