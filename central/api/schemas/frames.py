"""Frames, what is on them, and what people say of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from central.annotate.boxes import MAX_BOXES, MAX_POINTS, MAX_RINGS, TagState
from central.api.schemas.base import Body, BoxPixels, LabelName, Pixel, View
from protocols.messages import MAX_TEXT

MAX_TAGS: Final = 1000
MAX_SECONDS: Final = 86_400.0
"""Spent on one frame: a day; whoever left the screen open longer did not look at it."""
_Ring = Annotated[list[tuple[Pixel, Pixel]], Field(max_length=MAX_POINTS)]
Mask = Annotated[list[_Ring], Field(min_length=1, max_length=MAX_RINGS)]
"""Outline: rings of (x, y) in pixels of the frame, not closed."""
Seconds = Annotated[float, Field(ge=0.0, le=MAX_SECONDS, allow_inf_nan=False)]
Tags = Annotated[dict[LabelName, TagState], Field(max_length=MAX_TAGS)]
FrameState = Literal["pending", "labelled", "skipped"]


class AssessmentView(View):
    """All that the node computed about a frame, with a sentence per score that spoke."""

    blur: float | None = None
    uncertainty: float | None = None
    inconsistency: float | None = None
    unexplained_motion: float | None = None
    novelty: float | None = None
    redundancy: float | None = None
    reasons: dict[str, str] = Field(default={})


class BoxView(View):
    """A box on a frame: a proposal until somebody confirmed it."""

    id: str
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2, pixels of the frame.")
    label: str
    score: float | None = None
    source: str = Field(examples=["node", "pack", "track", "person", "machine", "import"])
    confirmed: bool
    mask: Mask | None = None
    confidence: float | None = Field(default=None, description="How often one like it was right, as measured.")
    origin: str | None = Field(default=None, description="Of a label: source of the proposal that it came from.")
    moved: bool | None = Field(default=None, description="Of a label with an origin: whether a person changed its box.")


class LeaseView(View):
    """Who looks at a frame, and until when if they do not say that they still do."""

    by: str
    until: datetime


class FlagView(View):
    """Why somebody wants others to look at a frame."""

    by: str
    note: str
    at: datetime


class BoxBody(Body):
    """A box that a person vouches for."""

    box: BoxPixels
    label: LabelName
    mask: Mask | None = None
    origin: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Id of the proposal that it came from, moved or not."
    )


class DraftView(View):
    """Boxes and tags that somebody has on the screen. The revision is that of the frame when they began."""

    revision: int
    boxes: list[BoxBody]
    tags: dict[str, TagState]
    complete_for: list[str]
    at: datetime


class AskedBox(View):
    """A box that a question is about."""

    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2, pixels of the frame.")
    label: str


class TagProposalView(View):
    """What one machine says of one tag."""

    tag: str
    source: str = Field(examples=["pack", "neighbours"])
    score: float = Field(description="0..1, that the tag is present, as the machine has it.")
    confidence: float | None = Field(default=None, description="The same as measured from what people answered.")


class PointView(View):
    """A click on the middle of an object: it says where one is, and makes no label."""

    label: str
    at: tuple[float, float] = Field(description="x, y, pixels of the frame.")
    by: str
    time: datetime
    seconds: float | None = Field(default=None, description="How long it took.")


class QuestionView(View):
    """What to ask about a frame: its answer is expected to be worth most per second of a person's time.

    `boxes`: review it whole (PUT labels). `pair`: say which of two is sharper (POST /pairs/{pair}). `box`, `missing`,
    `tag` and `click` are answered by POST /frames/{id}/answer.
    """

    kind: Literal["boxes", "box", "missing", "tag", "pair", "click"]
    label: str | None = Field(default=None, description="Of `box`: what it is taken for; of `click`: what to click.")
    labels: list[str] = Field(default=[], description="Of `missing`: what to look for.")
    tag: str | None = None
    box: tuple[float, float, float, float] | None = Field(default=None, description="Of `box`: the one asked about.")
    boxes: list[AskedBox] = Field(default=[], description="Of `missing`: those taken for right if nothing is missing.")
    pair: int | None = Field(default=None, description="Of `pair`: its number.")
    seconds: float = Field(description="That an answer is expected to take.")
    gain: float = Field(description="Mistakes that an answer is expected to mend.")
    reason: str
    strategy: str = Field(default="", description="What put the frame in its place; empty: what its node thought.")


class FrameView(View):
    """A frame with everything that is known about it."""

    id: str
    node: str
    site: str
    camera: str
    name: str = Field(default="", description="File name, for a frame that came from a folder of images.")
    index: int = Field(default=0, description="Position in its source, counted from 0 since the source was opened.")
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
    points: list[PointView] = Field(default=[], description="What people clicked, oldest first.")
    tags: dict[str, TagState] = Field(default={}, description="What is not listed is unknown.")
    tag_proposals: dict[str, float] = Field(default={}, description="Probability 0..1 of each tag, as machines said.")
    tag_sources: list[TagProposalView] = Field(
        default=[], description="Of a frame that waits: which machine said what of its tags."
    )
    lease: LeaseView | None = None
    flag: FlagView | None = None
    double: bool = Field(
        default=False, description="A second opinion is wanted of whoever asks: the first answer is not shown to them."
    )
    draft: DraftView | None = Field(default=None, description="What whoever asks has begun and not saved.")
    question: QuestionView | None = Field(
        default=None, description="What is worth asking; null: nobody thought about it yet, review the frame whole."
    )


class FramePage(View):
    """Frames, newest first; `next` is the cursor of the following page, or null."""

    items: list[FrameView]
    next: str | None = None


class QueueView(View):
    """Frames that wait for a person, most valuable first."""

    items: list[FrameView]
    pending: int


class DraftBody(Body):
    """What is on the screen, to be kept until it is saved. Labels need not exist."""

    revision: Annotated[int, Field(ge=0)]
    boxes: Annotated[list[BoxBody], Field(max_length=MAX_BOXES)]
    tags: Tags = Field(default={})
    complete_for: Annotated[list[LabelName], Field(max_length=1000)] = Field(default=[])


class NextBody(Body):
    """Frames that whoever asks has already, and does not want again."""

    skip: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=200)] = Field(default=[])


class NextView(View):
    """The frame to look at now, leased to whoever asked; null where none waits."""

    frame: FrameView | None


class FlagBody(Body):
    """Why others should look at a frame."""

    note: Annotated[str, Field(max_length=MAX_TEXT)] = ""


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
                    "tags": {"night": "absent"},
                    "seconds": 4.2,
                }
            ]
        },
    )

    revision: Annotated[int, Field(ge=0)]
    boxes: Annotated[list[BoxBody], Field(max_length=MAX_BOXES)]
    complete_for: Annotated[list[LabelName], Field(max_length=1000)] = Field(default=[])
    tags: Tags = Field(default={})
    seconds: Seconds | None = Field(default=None, description="How long it took.")


class AskedBoxBody(Body):
    """A box that a question was about."""

    box: BoxPixels
    label: LabelName


class AskedBody(Body):
    """The question that is answered, as the frame carried it."""

    kind: Literal["box", "missing", "tag", "click"]
    label: LabelName | None = Field(default=None, description="With kind `box` or `click`.")
    box: BoxPixels | None = Field(default=None, description="With kind `box`.")
    labels: Annotated[list[LabelName], Field(max_length=1000)] = Field(default=[], description="With kind `missing`.")
    boxes: Annotated[list[AskedBoxBody], Field(max_length=MAX_BOXES)] = Field(
        default=[], description="With kind `missing`: those that are right if nothing is missing."
    )
    tag: LabelName | None = Field(default=None, description="With kind `tag`.")


class ReplyBody(Body):
    """An answer to a single question about a frame."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "revision": 0,
                    "question": {"kind": "box", "label": "car", "box": [104.0, 62.5, 188.0, 121.0]},
                    "answer": "yes",
                    "seconds": 1.4,
                }
            ]
        },
    )

    revision: Annotated[int, Field(ge=0)]
    question: AskedBody
    answer: Literal["yes", "no", "nothing", "something", "present", "absent", "point", "none", "cant_tell"] = Field(
        description="yes or no to a box, nothing or something to missing, present or absent to a tag, point or none "
        "to a click, or cant_tell."
    )
    point: tuple[Pixel, Pixel] | None = Field(
        default=None, description="With answer `point`: x, y of the middle of the object, pixels of the frame."
    )
    seconds: Seconds | None = Field(default=None, description="How long it took.")


class SkipBody(Body):
    """Put a frame aside."""

    revision: Annotated[int, Field(ge=0)]
    reason: Literal["skip", "cant_tell"] = "skip"


class AnswerView(View):
    """One answer about a frame."""

    revision: int
    at: datetime
    by: str
    state: str = Field(examples=["labelled", "skipped", "cant_tell", "adjudicated"])
    boxes: list[BoxBody]
    points: list[PointView] = Field(default=[], description="What was clicked with this answer.")
    tags: dict[str, TagState]
    complete_for: list[str]


class HistoryView(View):
    """Every answer about a frame, oldest first."""

    items: list[AnswerView]


class MovedView(View):
    """Boxes of an earlier frame, moved to this one by tracking. They are proposals of the source ``track``."""

    boxes: list[BoxView]


class MoveBody(Body):
    """The frame whose boxes are moved; where it is absent, the last labelled one of the same camera before."""

    from_: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="from")
