"""What is asked of the index of all frames, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["any", "proposal", "label"]


class SearchError(ValueError):
    """A search that cannot be answered. `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Query:
    """What is looked for; None and empty mean anything.

    `label` with `kind` and scores: the best box of that class has a score from `min_score` to `max_score`; a label that
    a person gave has 1. Without `label` it is the best box of any class. `like` is a frame whose embedding those of the
    answer are near to.
    """

    node: str | None = None
    camera: str | None = None
    site: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: str | None = None
    label: str | None = None
    kind: Kind = "any"
    min_score: float | None = None
    max_score: float | None = None
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    like: str | None = None
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True)
class Found:
    """A page of an answer: ids, likenesses -1..1 where they were asked for, how many there are on all pages."""

    ids: list[str]
    total: int
    next: str | None
    likeness: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Counted:
    """How many frames a value has."""

    name: tuple[str, ...]
    frames: int
    confirmed: int = 0
    """Of a class: frames with a label of it. Of a tag: frames without it, surely."""


@dataclass(frozen=True)
class Facets:
    """What there is to look for."""

    frames: int
    embeddings: int
    cameras: list[Counted]
    labels: list[Counted]
    tags: list[Counted]
    states: list[Counted]
    first: datetime | None
    last: datetime | None
