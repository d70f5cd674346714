"""Label Studio: a JSON file with a list of tasks; places are shares of the image in percent.

A task's ``data`` has ``image`` (its URL there), and of ours ``name``, ``camera``, ``frame`` (from 1), ``width`` and
``height``. Of several annotations of a task the last one counts that was not cancelled; a task with none was not
labelled, and what its predictions say is a proposal. Choices named ``complete for`` are the labels that the image was
fully looked through for, those named ``absent`` are tags that are not there, and any other choice is a tag that is.
`config` is the labelling interface that asks for all of it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import msgspec

from central.annotate.boxes import LabelBox, Mask
from central.annotate.formats import UNKNOWN_SIDE, Dataset, Part, Picture, Stream, TagState
from central.annotate.formats.items import items
from central.annotate.formats.reading import MAX_POINTS, around, label_name, number, picture, refuse, unique

COMPLETE: Final = "complete for"
ABSENT: Final = "absent"
TAGS: Final = "tags"
URL: Final = "/data/local-files/?d="
"""How Label Studio itself names files below its document root."""
_PERCENT: Final = 100.0


class _Value(msgspec.Struct):
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    rotation: float = 0.0
    points: list[tuple[float, float]] = []
    rectanglelabels: list[str] = []
    polygonlabels: list[str] = []
    choices: list[str] = []


class _Result(msgspec.Struct):
    type: str = ""
    from_name: str = ""
    original_width: int = 0
    original_height: int = 0
    score: float | None = None
    value: _Value = msgspec.field(default_factory=_Value)


class _Opinion(msgspec.Struct):
    result: list[_Result] = []
    was_cancelled: bool = False


class _Task(msgspec.Struct):
    data: dict[str, Any]
    annotations: list[_Opinion] = []
    predictions: list[_Opinion] = []


def image_name(url: str) -> str:
    """Return the file name that the URL of an image tells: its ``d``, or its path. Nothing is fetched."""
    parsed = urlsplit(url)
    inside = parse_qs(parsed.query).get("d")
    return inside[0] if inside else unquote(parsed.path).lstrip("/").removeprefix("data/upload/")


def _turned(value: _Value, width: int, height: int) -> Mask:
    """Return the corners of a rectangle that is turned by ``rotation`` degrees about its upper left one, pixels."""
    x, y = value.x / _PERCENT * width, value.y / _PERCENT * height
    w, h = value.width / _PERCENT * width, value.height / _PERCENT * height
    cos, sin = math.cos(math.radians(value.rotation)), math.sin(math.radians(value.rotation))
    return (tuple((x + a * cos - b * sin, y + a * sin + b * cos) for a, b in ((0, 0), (w, 0), (w, h), (0, h))),)


class _Reader:
    """Tasks of one file as pictures."""

    def __init__(self, path: Path, left_out: Counter[str]) -> None:
        self._path, self._left_out = path, left_out

    def _points(self, result: _Result) -> Mask | None:
        value, size = result.value, (result.original_width, result.original_height)
        corners: tuple[tuple[float, float], ...]
        if result.type == "rectanglelabels":
            if value.rotation:
                return _turned(value, *size)
            corners = ((value.x, value.y), (value.x + value.width, value.y + value.height))
        elif result.type == "polygonlabels" and 3 <= len(value.points) <= MAX_POINTS:
            corners = tuple(value.points)
        else:
            return None
        return (tuple((x / _PERCENT * size[0], y / _PERCENT * size[1]) for x, y in corners),)

    def _box(self, result: _Result) -> LabelBox | None:
        found = self._points(result)
        names = result.value.rectanglelabels or result.value.polygonlabels
        if found is None or not names:
            self._left_out[f"results of type {result.type[:20]!r}"] += 1
            return None
        if min(result.original_width, result.original_height) < 1:
            refuse(self._path, "a result without original_width and original_height")
        for side in around(found):
            number(self._path, side)
        mask = None if result.type == "rectanglelabels" and not result.value.rotation else found
        return LabelBox(around(found), label_name(self._path, names[0]), result.score, mask)

    def _opinion(self, task: _Task) -> tuple[_Opinion, bool]:
        counted = [a for a in task.annotations if not a.was_cancelled]
        if len(counted) > 1:
            self._left_out["further annotations of one task"] += len(counted) - 1
        if counted:
            return counted[-1], True
        return (task.predictions[-1] if task.predictions else _Opinion()), False

    def _size(self, task: _Task, opinion: _Opinion) -> tuple[int, int]:
        told = next(((r.original_width, r.original_height) for r in opinion.result if r.original_width > 0), None)
        given = task.data.get("width", UNKNOWN_SIDE), task.data.get("height", UNKNOWN_SIDE)
        width, height = told or given
        return int(number(self._path, width, "width")), int(number(self._path, height, "height"))

    def picture(self, raw: Any) -> Picture:
        try:
            task = msgspec.convert(raw, _Task)
        except msgspec.ValidationError as error:
            refuse(self._path, f"not a Label Studio task: {error}")
        opinion, labelled = self._opinion(task)
        shapes = [r for r in opinion.result if r.type != "choices"]
        chosen: dict[str, list[str]] = {}
        for result in opinion.result:
            if result.type == "choices":
                chosen.setdefault(result.from_name, []).extend(result.value.choices)
        complete, absent = chosen.pop(COMPLETE, []), chosen.pop(ABSENT, [])
        tags: dict[str, TagState] = {
            label_name(self._path, tag): "present" for names in chosen.values() for tag in names
        }
        tags |= {label_name(self._path, tag): "absent" for tag in absent}
        name = task.data.get("name") or image_name(str(task.data.get("image", "")))
        place = task.data.get("frame")
        width, height = self._size(task, opinion)
        return picture(
            self._path, str(name), width, height, tags=tags, labelled=labelled,
            boxes=tuple(box for box in map(self._box, shapes) if box is not None),
            complete_for=tuple(label_name(self._path, c) for c in complete),
            camera=str(task.data.get("camera", "")),
            index=None if place is None else int(number(self._path, place, "frame")) - 1,
        )  # fmt: skip


def _read(path: Path, left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    yield from map(_Reader(path, left_out).picture, items(path, None))


def _read_whole(path: Path, left_out: Counter[str], labels: tuple[str, ...], told: bool) -> Iterator[Picture]:
    """Where no task tells what it is complete for, a labelled one was looked through for every label."""
    for one in _read(path, left_out):
        yield one if told or not one.labelled else replace(one, complete_for=labels)


def config(labels: Iterable[str], tags: Iterable[str] = (), colors: dict[str, str] | None = None) -> str:
    """Return the labelling interface for `labels` and `tags`, as Label Studio wants it."""

    def listed(kind: str, values: Iterable[str]) -> str:
        return "".join(
            f"<{kind} value={quoteattr(v)}"
            + (f" background={quoteattr(colors[v])}" if colors and kind == "Label" and v in colors else "")
            + "/>"
            for v in values
        )

    labels, tags = tuple(labels), tuple(tags)
    choices = [(COMPLETE, labels)] + ([(TAGS, tags), (ABSENT, tags)] if tags else [])
    asked = "".join(
        f'<Choices name={quoteattr(name)} toName="image" choice="multiple"><Header value={quoteattr(name)}/>'
        f"{listed('Choice', values)}</Choices>"
        for name, values in choices
    )
    return (
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="boxes" toName="image">{listed("Label", labels)}</RectangleLabels>'
        f'<PolygonLabels name="outlines" toName="image">{listed("Label", labels)}</PolygonLabels>{asked}</View>'
    )


def _choices(name: str, values: Iterable[str]) -> list[dict[str, Any]]:
    values = list(values)
    return [{"type": "choices", "from_name": name, "to_name": "image", "value": {"choices": values}}] if values else []


def _shape(given: LabelBox, width: int, height: int) -> list[dict[str, Any]]:
    base: dict[str, Any] = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    base |= {} if given.score is None else {"score": given.score}
    if given.mask:
        rings = [[[x * _PERCENT / width, y * _PERCENT / height] for x, y in ring] for ring in given.mask]
        of = {"type": "polygonlabels", "from_name": "outlines"}
        return [
            base | of | {"value": {"points": ring, "closed": True, "polygonlabels": [given.label]}} for ring in rings
        ]
    x1, y1, x2, y2 = given.box
    value = {
        "x": x1 * _PERCENT / width, "y": y1 * _PERCENT / height, "rotation": 0,
        "width": (x2 - x1) * _PERCENT / width, "height": (y2 - y1) * _PERCENT / height,
        "rectanglelabels": [given.label],
    }  # fmt: skip
    return [base | {"type": "rectanglelabels", "from_name": "boxes", "value": value}]


def task(given: Picture, url: str, number_: int) -> dict[str, Any]:
    """Return the task for a picture whose image is at `url`: its labels as an annotation, or as a prediction."""
    results = [shape for box in given.boxes for shape in _shape(box, given.width, given.height)]
    results += _choices(TAGS, (tag for tag, state in given.tags.items() if state == "present"))
    results += _choices(ABSENT, (tag for tag, state in given.tags.items() if state == "absent"))
    results += _choices(COMPLETE, given.complete_for)
    for place, result in enumerate(results):
        result["id"] = f"r{place}"
    data: dict[str, Any] = {"image": url, "name": given.name, "width": given.width, "height": given.height}
    data |= {"camera": given.camera} if given.camera else {}
    data |= {} if given.index is None else {"frame": given.index + 1}
    opinion = {"id": number_, "result": results} | ({} if given.labelled else {"model_version": "wayside"})
    kept = [opinion] if given.labelled or results else []
    return {
        "id": number_,
        "data": data,
        "annotations": kept if given.labelled else [],
        "predictions": [] if given.labelled else kept,
    }


class LabelStudio:
    """The format. An outline of several rings is written as several regions, and read again as several labels."""

    name = "label-studio"
    about = "a JSON file with a list of tasks"
    lacks: tuple[Part, ...] = ()
    images: str | None = None

    def read(self, path: Path) -> Dataset:
        """Return the data set in the file `path`. It is gone through once to know its labels."""
        left_out = Counter[str]()
        labels: dict[str, None] = {}
        tags: dict[str, None] = {}
        told = False
        for one in _read(path, left_out):
            labels |= dict.fromkeys(box.label for box in one.boxes) | dict.fromkeys(one.complete_for)
            tags |= dict.fromkeys(one.tags)
            told = told or bool(one.complete_for)
        every = unique(labels)
        make = partial(_read_whole, path, left_out, every, told)
        return Dataset(every, Stream(make), tuple(tags), left_out)

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to the file `path`."""
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8") as out:
            out.write("[")
            for number_, given in enumerate(dataset.pictures, 1):
                out.write(",\n" if number_ > 1 else "\n")
                out.write(json.dumps(task(given, URL + str(PurePosixPath(given.name)), number_)))
            out.write("\n]\n")
        part.replace(path)


FORMAT: Final = LabelStudio()
