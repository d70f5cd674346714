"""Every body that crosses the HTTP API. The OpenAPI document, and through it the UI's types, are made from these.

Requests refuse unknown keys and non-finite numbers. Times are aware UTC; boxes are ``(x1, y1, x2, y2)`` in pixels of
the frame. A value that was not computed is null, never zero.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from central.annotate.boxes import MAX_BOXES
from protocols.messages import IDENTITY, MAX_LABEL, MAX_TEXT, SHA256_HEX

MAX_PASSWORD: Final = 200
"""Characters; argon2 would hash any length, and take as long as the sender likes."""
MIN_PASSWORD: Final = 10
"""Characters of a password that somebody chooses."""
MAX_PAGE: Final = 200
"""Items of one page."""
MAX_EPOCHS: Final = 1000
"""Epochs that one round may be asked for."""

Role = Literal["viewer", "annotator", "engineer", "admin"]
FrameState = Literal["pending", "labelled", "skipped"]
NodeState = Literal["online", "stopped", "offline"]
RoundState = Literal["queued", "training", "evaluating", "exporting", "done", "failed"]
EventKind = Literal["node", "frame", "round", "release", "update", "label"]
LabelName = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
Pixel = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
BoxPixels = tuple[Pixel, Pixel, Pixel, Pixel]


class Body(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class ErrorInfo(View):
    """What went wrong: a code for programs, a sentence for people, and more where there is more to say."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["no frame 0190...; it may have been removed"])
    detail: Any = None


class ErrorView(View):
    """The body of every answer with a status of 400 or more."""

    error: ErrorInfo


class Login(Body):
    """A name and its password."""

    name: Annotated[str, Field(min_length=1, max_length=64, examples=["admin"])]
    password: Annotated[SecretStr, Field(max_length=MAX_PASSWORD)]


class PasswordChange(Body):
    """The password so far, and the one from now on."""

    old: Annotated[SecretStr, Field(max_length=MAX_PASSWORD)]
    new: Annotated[SecretStr, Field(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)]


class SessionView(View):
    """Who is logged in."""

    name: str = Field(examples=["admin"])
    role: Role


class SessionToken(SessionView):
    """A new session. The token works as ``Authorization: Bearer TOKEN``; it is shown this once."""

    token: str


# --- nodes -----------------------------------------------------------------------------------------------------------


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
    cameras: list[CameraView] = []


class CommandBody(Body):
    """Something to ask of a node; `camera` empty means every camera."""

    action: Literal["snapshot", "pause", "resume", "restart"]
    camera: Annotated[str, Field(pattern=IDENTITY)] | None = None


class CommandResult(View):
    """What the node answered."""

    ok: bool
    detail: str = ""


class AssessmentView(View):
    """All that the node computed about a frame, with a sentence per score that spoke."""

    blur: float | None = None
    uncertainty: float | None = None
    inconsistency: float | None = None
    unexplained_motion: float | None = None
    novelty: float | None = None
    redundancy: float | None = None
    reasons: dict[str, str] = {}


class BoxView(View):
    """A box on a frame: a proposal until somebody confirmed it."""

    id: str
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2, pixels of the frame.")
    label: str
    score: float | None = None
    source: str = Field(examples=["node", "pack", "person", "machine", "import"])
    confirmed: bool


class FrameView(View):
    """A frame with everything that is known about it."""

    id: str
    node: str
    site: str
    camera: str
    name: str = Field("", description="File name, for a frame that came from a folder of images.")
    index: int = Field(0, description="Position in its source, counted from 0 since the source was opened.")
    time: datetime
    width: int
    height: int
    bytes: int
    pack: str | None = None
    state: FrameState
    value: float = Field(description="What a label is expected to be worth; the queue is ordered by it.")
    reason: str
    policy: str
    probability: float
    assessment: AssessmentView
    revision: int = Field(description="Send it back with labels; it grows with every change.")
    boxes: list[BoxView]
    complete_for: list[str] = Field(description="Labels that the frame was fully looked through for.")


class FramePage(View):
    """Frames, newest first; `next` is the cursor of the following page, or null."""

    items: list[FrameView]
    next: str | None = None


class QueueView(View):
    """Frames that wait for a person, most valuable first."""

    items: list[FrameView]
    pending: int


class BoxBody(Body):
    """A box that a person vouches for."""

    box: BoxPixels
    label: LabelName


class LabelsBody(Body):
    """All labels of a frame, in place of those it had."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "revision": 0,
                    "boxes": [{"box": [104.0, 62.5, 188.0, 121.0], "label": "car"}],
                    "complete_for": ["car", "bus", "truck"],
                }
            ]
        },
    )

    revision: Annotated[int, Field(ge=0)]
    boxes: Annotated[list[BoxBody], Field(max_length=MAX_BOXES)]
    complete_for: Annotated[list[LabelName], Field(max_length=1000)] = []


class SkipBody(Body):
    """Put a frame aside."""

    revision: Annotated[int, Field(ge=0)]


class HistoryView(View):
    """One change of a frame's labels."""

    revision: int
    at: datetime
    by: str
    action: str
    boxes: list[BoxBody]
    complete_for: list[str]


class LabelView(View):
    """A class that may be labelled."""

    name: str
    color: str = Field(examples=["#e4572e"], pattern=r"^#[0-9a-fA-F]{6}$")
    key: str = Field(examples=["1"], max_length=1)


class TagView(View):
    """An image-level label: present, absent or unknown."""

    name: str
    group: str = ""
    title: str = ""


class ProfileView(View):
    """What a project labels."""

    name: str
    labels: list[LabelView]
    tags: list[TagView]


# --- rounds, packs, releases -----------------------------------------------------------------------------------------


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


class PackView(View):
    """A model bundle of the registry."""

    address: str
    name: str
    size_bytes: int
    labels: list[str]
    created: datetime | None = None
    parent: str | None = None
    metrics: dict[str, float] = {}
    running_on: list[str] = []


class ReleaseBody(Body):
    """A pack to offer to every node."""

    pack: Annotated[str, Field(pattern=SHA256_HEX)]
    notes: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class ReleaseNodeView(View):
    """How far one node is with a release."""

    node: str
    step: str
    progress: float = 0.0
    reason: str = ""
    at: datetime | None = None


class ReleaseView(View):
    """A pack offered to nodes."""

    number: int
    pack: str
    name: str
    at: datetime
    by: str
    notes: str = ""
    nodes: list[ReleaseNodeView] = []


# --- overview, events, health ----------------------------------------------------------------------------------------


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
