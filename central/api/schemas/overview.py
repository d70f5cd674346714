"""The whole at a glance: totals, the loop, events, health."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from central.api.schemas.base import EventKind, View
from central.api.schemas.learning import RoundView
from central.api.schemas.nodes import NodeView
from central.api.schemas.releases import ReleaseView


class Totals(View):
    """Counts over everything stored."""

    frames: int = 0
    bytes: int = 0
    pending: int = 0
    labelled: int = 0
    labels: int = 0
    rounds: int = 0


class LoopStep(View):
    """Where one step of the loop stands."""

    step: Literal["watch", "send", "review", "train", "release", "update"]
    state: Literal["idle", "active", "done", "failed"]
    detail: str = ""
    at: datetime | None = None


class Overview(View):
    """The page that an operator opens first."""

    nodes: list[NodeView]
    totals: Totals
    release: ReleaseView | None = None
    round: RoundView | None = None
    loop: list[LoopStep]


class EventView(View):
    """Something changed; ask again for what you show of it."""

    kind: EventKind


class HealthView(View):
    """Whether the process answers, and whether it can do its work."""

    status: Literal["ok", "starting", "failing"]
    version: str
    checks: dict[str, str] = Field(
        default={}, description="What was looked at, and what is wrong with it, if anything."
    )
