"""Rollouts: releases on their way through the fleet, and what changes between packs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from central.api.schemas.base import Body, View
from central.api.schemas.learning import IntervalView
from protocols.messages import MAX_TEXT, SHA256_HEX

RolloutState = Literal["planned", "running", "paused", "halted", "rolling_back", "done", "aborted", "rolled_back"]
RolloutAction = Literal["start", "pause", "resume", "abort", "rollback"]
WaveState = Literal["waiting", "open", "passed", "failed"]
NodeStage = Literal[
    "waiting", "away", "offered", "installed", "healthy", "failed", "withdrawn", "returning", "returned", "stuck"
]  # fmt: skip
PlanBody = Annotated[
    dict[str, Any],
    Field(
        description="Groups, waves, gates and times; what is left out has a default. The engineers' page has them all.",
        examples=[
            {
                "groups": [{"name": "canary", "sites": ["lab"]}],
                "rest": True,
                "waves": [1, "10%", "50%"],
                "soak_s": 600,
                "deadline_s": 3600,
                "on_halt": "rollback",
                "gates": {"latency": {"limit": 1.2}, "accuracy": {"required": True}},
            }
        ],
    ),
]


class RolloutBody(Body):
    """A pack to take through the fleet in waves."""

    pack: Annotated[str, Field(pattern=SHA256_HEX)]
    plan: PlanBody = Field({})
    notes: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    start: bool = Field(False, description="Begin at once; else it is only planned.")


class PlanPreviewBody(Body):
    """A plan to try out."""

    plan: PlanBody = Field({})


class RolloutChangeBody(Body):
    """A person's decision. `revision` is that of the rollout that they saw; or send it as ``If-Match``."""

    revision: Annotated[int, Field(ge=1)] | None = None
    reason: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    gates: dict[str, Any] = Field({}, description="With resume: other settings of gates from now on.")


class PlanWaveView(View):
    """A wave of a plan."""

    group: str
    nodes: list[str]
    total: int = Field(description="Nodes that have the release after it.")


class VerdictView(View):
    """What a gate says of a wave."""

    gate: str
    does: str = Field("", description="What it looks at, in words.")
    unit: str = ""
    outcome: Literal["pass", "fail", "not_enough"]
    value: float | None
    limit: float | None
    reason: str
    required: bool = False


class RolloutWaveView(View):
    """One step of a rollout."""

    number: int = Field(description="From 0.")
    group: str
    state: WaveState
    opened: datetime | None
    closed: datetime | None
    nodes: int
    healthy: int
    failed: int
    away: int
    gates: list[VerdictView]


class RolloutNodeView(View):
    """One node's share of a rollout."""

    node: str
    site: str
    wave: int
    group: str
    stage: NodeStage
    reason: str = ""
    late: bool = Field(False, description="It was away when its wave opened.")
    offered: datetime | None = None
    from_pack: str | None = None
    step: str | None = Field(None, description="Of its update.")
    progress: float = 0.0


class RolloutEventView(View):
    """Something that happened: who, when, why."""

    at: datetime
    by: str = Field(examples=["anna", "centre"])
    kind: str = Field(examples=["planned", "state", "wave", "passed", "failed", "back"])
    from_state: str
    to_state: str
    reason: str
    data: dict[str, Any] = Field({})


class RolloutSummary(View):
    """A rollout in a list."""

    id: int
    pack: str
    name: str
    from_pack: str | None
    release: int | None
    state: RolloutState
    revision: int = Field(description="Send it back with a decision; it grows with every change of state.")
    reason: str
    notes: str
    by: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    wave: int = Field(description="Which wave is open, from 0.")
    waves: int
    nodes: int
    stages: dict[str, int] = Field(description="Nodes by stage.")
    actions: list[RolloutAction] = Field(description="What may be done with it now.")


class RolloutView(RolloutSummary):
    """A rollout with everything that is known about it."""

    plan: dict[str, Any]
    clock_s: float = Field(description="Seconds that it was running with a connection to the broker.")
    all_waves: list[RolloutWaveView]
    all_nodes: list[RolloutNodeView]
    history: list[RolloutEventView]


class ChangeView(View):
    """A figure's median over the nodes that have it before and after."""

    figure: str
    before: float
    after: float
    nodes: int


class NodeEffectView(View):
    """One node before and after."""

    node: str
    wave: int
    stage: NodeStage
    before: dict[str, Any]
    after: dict[str, Any]
    shadow: dict[str, Any] | None


class EffectView(View):
    """What a wave, or a rollout, changed."""

    changes: list[ChangeView]
    nodes: list[NodeEffectView]


class ClassesDiff(View):
    """Labels that came, went and stayed."""

    added: list[str]
    removed: list[str]
    kept: list[str]


class DataDiff(View):
    """What two packs were trained on; null where a snapshot is not known here."""

    before: str | None
    after: str | None
    frames_before: int | None
    frames_after: int | None
    labels_before: int | None
    labels_after: int | None
    frames_added: int | None
    frames_removed: int | None
    frames_relabelled: int | None


class MetricDiff(View):
    """A figure of both packs."""

    name: str
    before: float | None
    after: float | None


class CameraDiff(View):
    """A camera with both packs: AP50 on a round's held-back frames, and field accuracy with its interval."""

    camera: str
    ap50_before: float | None
    ap50_after: float | None
    found_before: IntervalView | None
    found_after: IntervalView | None
    right_before: IntervalView | None
    right_after: IntervalView | None


class BytesDiff(View):
    """What a node fetches: the whole pack, or the delta from the other one, where there is one."""

    full: int
    delta: int | None


class TensorsDiff(View):
    """The weights of the main model, counted; `names` are of those that changed."""

    same: int
    changed: int
    added: int
    removed: int
    parameters_changed: int
    names: list[str]


class PackDiff(View):
    """What changed from one pack to another."""

    before: str
    after: str
    classes: ClassesDiff
    data: DataDiff
    metrics: list[MetricDiff]
    per_camera: list[CameraDiff]
    bytes: BytesDiff
    tensors: TensorsDiff
