"""Frames, what is on them, and what people say of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from central.annotate.boxes import MAX_BOXES
from central.api.schemas.base import Body, BoxPixels, LabelName, View

FrameState = Literal["pending", "labelled", "skipped"]


class AssessmentView(View):
    """All that the node computed about a frame, with a sentence per score that spoke."""

    blur: float | None = None
    uncertainty: float | None = None
    inconsistency: float | None = None
    unexplained_motion: float | None = None
    novelty: float | None = None
    redundancy: float | None = None
    reasons: dict[str, str] = Field({})


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
    complete_for: Annotated[list[LabelName], Field(max_length=1000)] = Field([])


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
