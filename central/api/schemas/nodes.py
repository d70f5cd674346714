"""Nodes and their cameras."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from central.api.schemas.base import Body, LabelName, View
from protocols.messages import IDENTITY

NodeState = Literal["online", "stopped", "offline"]


class CameraView(View):
    """One video source of a node, as its last health message had it."""

    camera: str
    source: str = ""
    state: str = Field("", examples=["watching", "connecting", "paused", "ended", "failed"])
    detail: str = ""
    fps: float = Field(0.0, description="Frames assessed per second.")
    frames: int = Field(0, description="Frames assessed since the node started.")
    selected: int = Field(0, description="Frames selected since the node started.")
    width: int = 0
    height: int = 0
    latency_p95_ms: float = 0.0
    blur: float | None = Field(None, description="Blur rank; higher is blurrier.")
    uncertainty: float | None = None
    latitude: float | None = Field(None, description="Degrees WGS 84, as the node's configuration says.")
    longitude: float | None = None
    alerts: list[str] = Field([], description="What is wrong with the camera now: covered, out of focus, moved ...")
    last_frame_id: str | None = None
    last_frame_at: datetime | None = None


class UpdateView(View):
    """How far a node's update is."""

    step: str = Field(examples=["fetching", "checking", "committed", "rolled-back"])
    progress: float = Field(0.0, ge=0.0, le=1.0)
    reason: str = ""


class NodeView(View):
    """An edge computer and its cameras."""

    node: str
    site: str
    state: NodeState
    since: datetime | None = None
    version: str = ""
    backend: str = ""
    pack: str | None = None
    release: int | None = None
    update: UpdateView | None = None
    spool_frames: int = 0
    spool_bytes: int = 0
    temperature_c: float | None = None
    cameras: list[CameraView] = Field([])


class CommandBody(Body):
    """Something to ask of a node; `camera` empty means every camera."""

    action: Literal["snapshot", "pause", "resume", "restart"]
    camera: Annotated[str, Field(pattern=IDENTITY)] | None = None


class CommandResult(View):
    """What the node answered."""

    ok: bool
    detail: str = ""


class PolicyBody(Body):
    """What to select. Quotas hold for each camera, in any hour and any 24 hours."""

    policy: LabelName = "budget"
    frames_per_hour: Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)] = 60.0
    audit_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    min_gap_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 1.0
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] = 90
    frames_per_day: Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)] | None = None
    bytes_per_hour: Annotated[int, Field(ge=0, le=2**53)] | None = None
    bytes_per_day: Annotated[int, Field(ge=0, le=2**53)] | None = None


class PolicyView(View):
    """A policy that was set at the centre."""

    node: str
    version: int
    policy: str
    frames_per_hour: float
    audit_share: float
    min_gap_s: float
    jpeg_quality: int
    frames_per_day: float | None
    bytes_per_hour: int | None
    bytes_per_day: int | None
    updated: datetime
    by: str
