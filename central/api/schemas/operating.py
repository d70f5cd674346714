"""What is stored, what is kept for how long, and what was deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from central.api.schemas.base import Body, View
from central.store.retention import MAX_DAYS, MIN_SIZE

__all__ = [
    "DeletionRunView",
    "HoldBody",
    "HoldView",
    "PartView",
    "PreviewCamera",
    "PreviewView",
    "RetentionLast",
    "RetentionView",
    "RuleBody",
    "RuleOfSite",
    "StorageCamera",
    "StorageView",
]

MAX_REASON = 500
Days = Annotated[int | None, Field(ge=1, le=MAX_DAYS)]


class PartView(View):
    """Frames, and bytes of their images."""

    frames: int
    bytes: int


class StorageCamera(View):
    """What one camera takes. `states` and `ages` each add up to `frames` and `bytes`."""

    site: str
    node: str
    camera: str
    frames: int
    bytes: int
    states: dict[str, PartView] = Field(description="By state: pending, labelled, skipped.")
    ages: dict[str, PartView] = Field(description="Since received: day, week, month, quarter, year, older.")
    labels: int = Field(description="Boxes that count.")
    proposals: int
    answers: int
    rows_bytes: int = Field(description="Estimate of what its rows take in the database.")
    first: datetime | None
    last: datetime | None


class StorageView(View):
    """What everything takes; cameras that take most first."""

    at: datetime = Field(description="When it was counted; it is counted once a minute at most.")
    frames: int
    bytes: int
    rows_bytes: int
    cameras: list[StorageCamera]


class RuleBody(Body):
    """How many days a site keeps what, and how many bytes of images it may have; null: for ever, without limit."""

    unlabelled_days: Days = None
    labelled_days: Days = None
    skipped_days: Days = None
    labels_days: Days = None
    audit_days: Days = Field(None, description="Of the audit log; only in the rule of every site.")
    size_bytes: Annotated[int | None, Field(ge=MIN_SIZE, le=2**62)] = None


class RuleOfSite(View):
    """The rule of a site, or of `every-site`."""

    site: str
    unlabelled_days: int | None
    labelled_days: int | None
    skipped_days: int | None
    labels_days: int | None
    audit_days: int | None
    size_bytes: int | None
    by: str = Field(description="Who set it; empty: it comes from the settings.")
    updated: datetime | None


class RetentionLast(View):
    """What came of the last run."""

    at: datetime
    run: int | None = Field(description="Its number; null where there was nothing to delete.")
    frames: int
    labels: int
    audit: int
    bytes: int
    kept: dict[str, int] = Field(description="Frames that stayed in spite of the rules, by reason.")


class RetentionView(View):
    """Which rules count, and what came of them."""

    rules: list[RuleOfSite]
    sites: list[str] = Field(description="Sites that have frames.")
    every_h: float = Field(description="Hours between runs; 0: none runs by itself.")
    last: RetentionLast | None
    reasons: dict[str, str] = Field(description="Why frames stay in spite of a rule, in words.")


class PreviewCamera(View):
    """What a rule would delete of one camera."""

    site: str
    node: str
    camera: str
    frames: int
    bytes: int
    labels: int = Field(description="Frames that stay, without what was answered about them.")
    by: dict[str, int] = Field(description="Frames by what makes them go: unlabelled, labelled, skipped, size.")


class PreviewView(View):
    """What the next run would delete with a rule; nothing was changed."""

    frames: int
    bytes: int
    audit: int
    kept: dict[str, int]
    kept_bytes: int
    cameras: list[PreviewCamera]


class HoldBody(Body):
    """A frame, or all frames of a camera (with its node), to be kept whatever the rules say."""

    frame: Annotated[str | None, Field(max_length=36)] = None
    node: Annotated[str | None, Field(max_length=64)] = None
    camera: Annotated[str | None, Field(max_length=64)] = None
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]


class HoldView(View):
    """What is kept whatever the rules say."""

    id: int
    frame: str | None
    node: str | None
    camera: str | None
    reason: str
    by: str
    at: datetime


class DeletionRunView(View):
    """A sealed run: a link of the chain."""

    number: int
    started: datetime
    finished: datetime | None
    by: str
    items: int
    bytes: int
    kept: dict[str, int]
    hash: str
    key: str = Field(description="Public key that it is signed with, hexadecimal.")
