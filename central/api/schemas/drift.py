"""How cameras change."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from central.api.schemas.base import View


class DriftMeasureView(View):
    """One measure of one look."""

    name: str
    about: str = Field("", description="What it measures, in words.")
    value: float = Field(description="How far what arrives now is from the reference, in the measure's own unit.")
    usual: float | None = Field(None, description="How far the days of the reference are from each other, at most.")
    p: float = Field(ge=0.0, le=1.0, description="Probability of such a value by chance.")
    before: float | None = Field(None, description="The mean then, where it is a number for people.")
    after: float | None = Field(None, description="The mean now.")


class DriftLookView(View):
    """One look at one camera."""

    node: str
    camera: str
    at: datetime
    verdict: Literal["not_enough", "steady", "drift"]
    reason: str = ""
    pack: str | None = None
    basis: Literal["", "audit", "all"] = ""
    reference: Literal["", "training", "first"] = ""
    reference_from: datetime | None = None
    reference_to: datetime | None = None
    frames_before: int = 0
    frames_now: int = 0
    p: float | None = Field(None, description="Of the strongest measure, corrected for their number.")
    strength: float | None = Field(
        None, description="Of the strongest measure: how many times what days of the reference differ by."
    )
    measures: list[DriftMeasureView] = Field([])


class BoostView(View):
    """A larger share of its node's frames, for a time."""

    factor: float = Field(description="Of the camera's quotas; the node's other cameras give up what it takes.")
    since: datetime
    until: datetime
    reason: str = ""


class DriftCameraView(View):
    """A camera as it is now."""

    node: str
    camera: str
    verdict: Literal["not_enough", "steady", "drift"]
    reason: str = ""
    at: datetime
    since: datetime | None = Field(None, description="First of the looks in a row that said the same.")
    boost: BoostView | None = None


class DriftView(View):
    """How cameras changed."""

    cameras: list[DriftCameraView] = Field([], description="The newest look at each camera, those that drift first.")
    items: list[DriftLookView] = Field([], description="All looks asked for, oldest first.")
