"""Rounds, packs, and how well they do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from central.api.schemas.base import Body, View

MAX_EPOCHS: Final = 1000
"""Epochs that one round may be asked for."""

RoundState = Literal["queued", "training", "evaluating", "exporting", "done", "failed"]


class RoundBody(Body):
    """How a round should train; what is absent is chosen by the round."""

    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] | None = None


class RoundView(View):
    """One cycle: dataset snapshot, training, evaluation, export."""

    id: str
    state: RoundState
    progress: float = Field(0.0, ge=0.0, le=1.0)
    detail: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    frames: int = 0
    labels: int = 0
    pack: str | None = None
    ap_before: float | None = None
    ap_after: float | None = None
    ap50_before: float | None = None
    ap50_after: float | None = None
    eta_s: float | None = None


class IntervalView(View):
    """An estimate 0..1 with its 95 % interval."""

    value: float
    low: float
    high: float


class AccuracyView(View):
    """How well a pack does at a camera. Null where too few frames were reviewed."""

    node: str
    camera: str
    pack: str
    basis: Literal["all", "audit"] | None
    """What the estimate rests on: all stored frames, or those of the uniform audit, while others wait for review."""
    stored: int
    reviewed: int
    used: int
    found: IntervalView | None
    """Share of the objects that the pack found."""
    right: IntervalView | None
    """Share of the reported boxes that are right."""


class PackView(View):
    """A model bundle of the registry."""

    address: str
    name: str
    size_bytes: int
    labels: list[str]
    created: datetime | None = None
    parent: str | None = None
    metrics: dict[str, float] = Field({})
    running_on: list[str] = Field([])
