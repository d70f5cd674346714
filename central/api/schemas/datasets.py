"""Searching, snapshots and the project's profile."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from central.annotate.profile import Profile
from central.api.schemas.base import Body, LabelName, View
from central.api.schemas.frames import FrameView
from central.api.schemas.project import ProfileView
from protocols.messages import MAX_TEXT

Renames = dict[LabelName, LabelName]
Removals = dict[LabelName, Literal["delete", "keep"]]


class SearchItem(View):
    """A frame that was found; how alike it is, -1..1, where likeness was asked for."""

    frame: FrameView
    likeness: float | None = None


class SearchPage(View):
    """Frames that were found, newest or most alike first; `total` on all pages; `next` leads to the following one."""

    items: list[SearchItem]
    total: int
    next: str | None = None


class CameraCount(View):
    """How many frames a camera has."""

    node: str
    camera: str
    frames: int


class LabelCount(View):
    """How many frames have a box of a class, and how many of those have one that counts."""

    label: str
    frames: int
    labelled: int


class TagCount(View):
    """On how many frames a tag is present, and on how many it is absent."""

    tag: str
    present: int
    absent: int


class SearchFacets(View):
    """What there is to look for."""

    frames: int
    embeddings: int = Field(description="Frames that others can be like.")
    cameras: list[CameraCount]
    labels: list[LabelCount]
    tags: list[TagCount]
    states: dict[str, int]
    first: datetime | None
    last: datetime | None


class SnapshotBody(Body):
    """What a snapshot is for."""

    name: Annotated[str, Field(max_length=64)] = ""


class SnapshotView(View):
    """Frames with the answers that they had, which never change."""

    address: str
    at: datetime
    frames: int
    labels: int
    name: str = ""
    by: str = ""


class SnapshotPage(View):
    """Snapshots, newest first."""

    items: list[SnapshotView]
    next: str | None = None


class SnapshotCheck(View):
    """Whether a snapshot is what it was."""

    whole: bool
    problems: list[str]


class TallyView(View):
    """What came, went and changed, and how many there were before and after."""

    added: int
    removed: int
    changed: int
    before: int
    after: int


class DifferenceView(View):
    """What the second snapshot has that the first has not. Boxes by class and by camera (`node/camera`)."""

    frames: TallyView
    labels: dict[str, TallyView]
    cameras: dict[str, TallyView]
    camera_frames: dict[str, TallyView]
    tags: dict[str, TallyView]
    complete_for: dict[str, TallyView]
    examples: dict[str, list[str]] = Field(description="Ids of some frames: added, removed, changed.")


class ProfileState(ProfileView):
    """The profile as it counts now. Send `version` back with a change."""

    version: int = Field(description="0 where it was never edited.")
    profile: Profile = Field(description="All of it, as its file has it.")


class ProfileBody(Body):
    """A change of the profile, and what becomes of labels and tags that are not in it any more."""

    version: Annotated[int, Field(ge=0)]
    profile: Profile
    renamed: Renames = Field(default={}, max_length=1000)
    removed: Removals = Field(default={}, max_length=1000)
    renamed_tags: Renames = Field(default={}, max_length=1000)
    removed_tags: Removals = Field(default={}, max_length=1000)
    note: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class ProfileVersionView(View):
    """One edit of the profile: who, when, and what became of labels and tags."""

    version: int
    at: datetime
    by: str
    note: str
    changes: dict[str, Any]
    labels: list[str]
    tags: list[str]


class UseView(View):
    """How often people gave something."""

    frames: int
    boxes: int = 0


class ProfileUse(View):
    """How often each label and tag is in use."""

    labels: dict[str, UseView]
    tags: dict[str, UseView]
