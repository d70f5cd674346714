"""The annotator that knows: answers the queue through the HTTP API from a COCO file.

A frame of a folder is found by its file name, a frame of a video by its place (``frame`` in the truth, from 1). Frames
that the truth does not know, or did not label, are skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from central.annotate.boxes import LabelBox, clip
from central.annotate.client import Client, ClientError
from central.annotate.formats import Dataset, Picture
from central.api.schemas import BoxBody, FrameView

PAGE: Final = 20
"""Frames asked for at a time."""


@dataclass(frozen=True)
class Tally:
    """What was answered."""

    labelled: int = 0
    skipped: int = 0
    boxes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.labelled + other.labelled, self.skipped + other.skipped, self.boxes + other.boxes)


class Truth:
    """Known answers."""

    def __init__(self, dataset: Dataset) -> None:
        self.labels = dataset.labels
        self._names = {p.name: p for p in dataset.pictures}
        self._bases: dict[str, list[Picture]] = {}
        for picture in dataset.pictures:
            self._bases.setdefault(PurePath(picture.name).name, []).append(picture)
        self._places = {p.index: p for p in dataset.pictures if p.index is not None}

    def find(self, frame: FrameView) -> Picture | None:
        """Return what is known about `frame`: by file name, else, for a frame without one, by its place."""
        if not frame.name:
            return self._places.get(frame.index)
        alike = self._bases.get(PurePath(frame.name).name, [])
        return self._names.get(frame.name) or (alike[0] if len(alike) == 1 else None)


def _scaled(picture: Picture, frame: FrameView) -> list[LabelBox]:
    """Return the boxes of `picture` in pixels of `frame`, which may have another size, cut to it."""
    x, y = frame.width / picture.width, frame.height / picture.height
    cut = (
        (
            clip((b.box[0] * x, b.box[1] * y, b.box[2] * x, b.box[3] * y), frame.width, frame.height, float("inf")),
            b.label,
        )
        for b in picture.boxes
    )
    return [LabelBox(box, label) for box, label in cut if box is not None]


def answer(client: Client, frame: FrameView, truth: Truth, known: Collection[str]) -> Tally:
    """Label or skip `frame`. Where somebody else answered it meanwhile, theirs stands."""
    picture = truth.find(frame)
    try:
        if picture is None or not picture.labelled:
            client.skip(frame.id, frame.revision)
            return Tally(skipped=1)
        boxes = [BoxBody(box=b.box, label=b.label) for b in _scaled(picture, frame) if b.label in known]
        complete = [label for label in picture.complete_for if label in known]
        client.label(frame.id, frame.revision, boxes, complete)
        return Tally(labelled=1, boxes=len(boxes))
    except ClientError as error:
        if error.code != "conflict":
            raise
        return Tally()


def run(
    client: Client,
    truth: Truth,
    until: Callable[[Tally], bool],
    pause_s: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Tally:
    """Answer whatever waits until `until`, asked with the tally so far, says so. Raises ClientError."""
    known = [label.name for label in client.profile().labels]
    tally = Tally()
    while not until(tally):
        items = client.queue(PAGE).items
        for frame in items:
            tally += answer(client, frame, truth, known)
            if until(tally):
                break
        if not items:
            sleep(pause_s)
    return tally
