"""Blur pairs, second opinions, and how good proposals are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from central.api.schemas.base import Body, View
from central.api.schemas.frames import BoxBody, FrameView, Seconds


class CropView(View):
    """One object of a pair."""

    frame: str
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2, pixels of the frame.")
    image: str = Field(examples=["/api/v1/pairs/7/left"], description="PNG, pixels as they are in the frame.")


class PairView(View):
    """Two objects: which one is sharper?"""

    id: str
    left: CropView
    right: CropView
    label: str
    reason: str


class PairsView(View):
    """Pairs that nobody answered yet; `answered` is how many whoever asks has answered."""

    items: list[PairView]
    answered: int


class PairBody(Body):
    """Which one is sharper."""

    answer: Literal["left", "right", "cant_tell"]
    seconds: Seconds | None = None


class PairAnswered(View):
    """How many pairs whoever asks has answered."""

    answered: int


class AgreementView(View):
    """How far two people agree about one tag or class. Counts are of objects; null where nothing can be said."""

    people: tuple[str, str]
    kind: Literal["tag", "box"]
    name: str
    frames: int
    kappa: float | None = Field(description="Beyond chance, -1..1: of tags, and of whether a frame has the class.")
    f1: float | None
    mean_iou: float | None
    both: int
    first: int = Field(description="Objects that only the first of the two saw.")
    second: int


class AgreementsView(View):
    """Every two people who answered the same frames without seeing each other's answer."""

    items: list[AgreementView]
    frames: int


class OpinionView(View):
    """What one person said of a frame."""

    by: str
    at: datetime
    boxes: list[BoxBody]
    tags: dict[str, Literal["present", "absent"]]
    complete_for: list[str]


class DisputeView(View):
    """A frame with two answers that differ."""

    frame: FrameView
    first: OpinionView
    second: OpinionView


class DisputesView(View):
    """Frames that wait for somebody who decides."""

    items: list[DisputeView]


class CalibrationView(View):
    """Proposals with a score from `low` up to `high`."""

    low: float
    high: float
    proposed: int
    right: int
    confidence: float | None = Field(description="What such a score is worth; null where too few were judged.")


class SourceView(View):
    """What people made of the proposals of one source for one label."""

    source: str
    label: str
    proposed: int
    kept: int
    moved: int
    relabelled: int
    deleted: int
    precision: float | None = Field(description="Share that was right: kept or moved.")
    calibration: list[CalibrationView]


class SourcesView(View):
    """Every source of proposals that people judged."""

    items: list[SourceView]
