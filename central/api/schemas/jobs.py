"""Work in the background: what waits, runs and is over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from central.api.schemas.base import Body, View

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
JobKind = Literal["round", "training", "scoring", "chore", "other"]
MAX_BACKLOG: int = 10_000_000
"""Frames of one backlog."""


class JobView(View):
    """One job."""

    id: str
    kind: JobKind
    title: str
    state: JobState
    progress: float = Field(0.0, ge=0.0, le=1.0)
    detail: str = Field("", description="What it does now; where it failed, why.")
    by: str = Field("", description="Who asked for it; empty where nobody did.")
    priority: int = 0
    attempts: int = Field(0, description="How often it was begun.")
    max_attempts: int = 1
    place: str = Field("", description="The Ray cluster that it runs on; empty: a process of the server's machine.")
    stopping: bool = Field(False, description="Somebody asked that it be stopped.")
    not_before: datetime | None = Field(None, description="Until when it waits after an attempt that failed.")
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    ahead: int = Field(0, description="Of a waiting job: how many others of its kind are begun before it.")
    round: str | None = Field(None, description="The round that it is of.")
    result: dict[str, Any] | None = None


class JobKindView(View):
    """One kind of job: how many run, of how many at a time."""

    kind: JobKind
    running: int = 0
    queued: int = 0
    limit: int = 0


class JobsView(View):
    """The queue and what is over, newest first."""

    queued: list[JobView]
    running: list[JobView]
    over: list[JobView]
    kinds: list[JobKindView]
    cluster: str = Field("", description="The Ray cluster that jobs run on; empty: this machine.")


class JobLogView(View):
    """The end of what a job printed."""

    id: str
    text: str


class BacklogBody(Body):
    """Have waiting frames looked at by a pack; what is absent is chosen by the centre."""

    pack: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{64}$", description="A registered pack; absent: the released one.")
    ] = None
    every: Annotated[bool, Field(description="Also frames on which the node ran it.")] = False
    closely: Annotated[
        bool, Field(description="Look twice, and at the parts of large images; else once, three times as fast.")
    ] = True
    limit: Annotated[int, Field(ge=1, le=MAX_BACKLOG)] | None = None
    workers: Annotated[int | None, Field(ge=1, le=1024, description="Actors on the cluster; absent: all cores.")] = None
