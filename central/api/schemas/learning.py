"""Rounds, packs, and how well they do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from central.api.schemas.base import Body, View

MAX_EPOCHS: Final = 1000
"""Epochs that one round may be asked for."""

MAX_MEMORY: Final = 1_000_000
"""Frames of the past that one round may learn from; ten times what the tests of speed hold."""

RoundState = Literal["queued", "training", "evaluating", "exporting", "done", "failed"]


class RoundBody(Body):
    """How a round should train; what is absent is chosen by the round."""

    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] | None = None
    strategy: Annotated[
        Literal["finetune", "replay", "distil", "replay-distil", "low-rank", "joint"] | None,
        Field(description="How it is kept from forgetting; absent: replay-distil."),
    ] = None
    memory_frames: Annotated[
        Annotated[int, Field(ge=0, le=MAX_MEMORY)] | None,
        Field(description="Most frames of the past that it learns from; absent: all."),
    ] = None
    again: Annotated[bool | None, Field(description="Learn even though nothing is new.")] = None
    start: (
        Annotated[
            str,
            Field(
                pattern=r"^(auto|base|[0-9a-f]{8,64})$",
                description="Where it starts: from the most similar pack (auto), base, or a registered pack's address; "
                "absent: from the pack that runs.",
            ),
        ]
        | None
    ) = None
    update: Annotated[
        Literal["all", "heads", "norms", "low-rank"] | None,
        Field(description="What learns: the less, the smaller the update; absent: as its strategy says."),
    ] = None


class RoundGateView(View):
    """What one gate says of the pack of a round."""

    gate: str
    outcome: Literal["pass", "fail", "not_enough"]
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    reason: str = ""


class OverrideBody(Body):
    """Why a pack that a gate speaks against may be released all the same."""

    reason: Annotated[str, Field(min_length=3, max_length=500)]


class RoundView(View):
    """One cycle: dataset snapshot, training, evaluation, export."""

    id: str
    state: RoundState
    progress: float = Field(0.0, ge=0.0, le=1.0)
    detail: str = ""
    reason: str = Field("", description="Why it started by itself; empty where somebody asked for it.")
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
    offered: bool | None = Field(None, description="Whether its pack may be released without an override.")
    verdict: str = Field("", description="What came of it, in one sentence.")
    gates: list[RoundGateView] = Field([])
    starts: int = Field(1, description="How often it was begun: more than once where it was killed and went on.")


class RuleView(View):
    """A rule that starts rounds."""

    name: str
    about: str
    asks: str = Field(description="What the settings ask of it, in words; empty where it is off.")
    due: str = Field(description="Why a round is due by it now; empty where it is not.")


class RulesView(View):
    """What starts rounds by itself."""

    rules: list[RuleView]
    new_frames: int = Field(description="Frames labelled since the last round that was done began.")
    drifting: dict[str, int] = Field({}, description="Of those, by node/camera that drifts.")
    pause_h: float = Field(description="Least hours from the end of a round to one that starts by itself.")
    note: str = Field("", description="Why the last round that was due did not start.")


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
    held: str | None = Field(None, description="Why it is offered to nobody; an engineer can override it.")
    overridden: str | None = Field(None, description="Who overrode that, and why.")
