"""CVAT XML, "CVAT for images 1.1": one file with the labels in ``<meta>`` and an ``<image>`` for each picture.

A ``<tag>`` is a tag that is there. What CVAT has no place for are tags of ours with an attribute, which people can set
in CVAT, too: ``complete for`` (its ``label`` was fully looked through) and ``absent`` (its ``tag`` is not there). Where
no image has a ``complete for``, all were looked through for every label.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from central.annotate.boxes import LabelBox, Mask
from central.annotate.formats import Dataset, FormatError, Part, Picture, Stream, TagState
from central.annotate.formats.reading import (
    around,
    elements,
    label_name,
    number,
    outline,
    picture,
    refuse,
    safe_name,
    unique,
)  # fmt: skip

COMPLETE: Final = "complete for"
ABSENT: Final = "absent"
_MARKS: Final = {COMPLETE: "label", ABSENT: "tag"}
"""Tags of ours, and the attribute that says which."""


def _find(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.xml"))
    if len(found) != 1:
        raise FormatError(f"{path}: {len(found)} XML files there; give the one that is to be read")
    return found[0]


def _labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return labels and tags as ``<meta>`` has them."""
    labels: list[str] = []
    tags: list[str] = []
    for element in elements(path, {"label", "image", "meta"}):
        if element.tag != "label":
            break
        name = label_name(path, (element.findtext("name") or "").strip())
        if name not in _MARKS:
            (tags if element.findtext("type") == "tag" else labels).append(name)
    return unique(labels), unique(tags)


def _turned(box: tuple[float, float, float, float], degrees: float) -> Mask:
    """Return the corners of `box` turned by `degrees` about its middle."""
    x1, y1, x2, y2 = box
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    return (tuple((cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos) for x, y in corners),)


class _Reader:
    """Elements of one file as pictures."""

    def __init__(self, path: Path, left_out: Counter[str]) -> None:
        self._path, self._left_out = path, left_out

    def _sides(self, shape: Element, names: Iterable[str]) -> list[float]:
        return [number(self._path, shape.get(name)) for name in names]

    def _shape(self, shape: Element) -> LabelBox | None:
        label = label_name(self._path, shape.get("label"))
        if shape.tag == "box":
            x1, y1, x2, y2 = self._sides(shape, ("xtl", "ytl", "xbr", "ybr"))
            turn = number(self._path, shape.get("rotation", 0), "rotation")
            mask = _turned((x1, y1, x2, y2), turn) if turn else None
            return LabelBox(around(mask) if mask else (x1, y1, x2, y2), label, mask=mask)
        if shape.tag == "polygon":
            flat = [v for point in shape.get("points", "").split(";") for v in point.split(",")]
            ring = (outline(self._path, flat),)
            return LabelBox(around(ring), label, mask=ring)
        if shape.tag == "mask":
            self._left_out["run lengths of masks, whose boxes are kept"] += 1
            x, y, width, height = self._sides(shape, ("left", "top", "width", "height"))
            return LabelBox((x, y, x + width, y + height), label)
        self._left_out[f"shapes of kind {shape.tag[:20]!r}"] += 1
        return None

    def picture(self, image: Element) -> Picture:
        boxes: list[LabelBox] = []
        tags: dict[str, TagState] = {}
        complete: list[str] = []
        for shape in image:
            if shape.tag != "tag":
                found = self._shape(shape)
                boxes += [] if found is None else [found]
                continue
            name = label_name(self._path, shape.get("label"))
            of = [label_name(self._path, a.text) for a in shape.iter("attribute") if a.get("name") == _MARKS.get(name)]
            if name == COMPLETE:
                complete += of
            elif name == ABSENT:
                tags |= dict.fromkeys(of, "absent")
            else:
                tags[name] = "present"
        size = [int(number(self._path, image.get(side), side)) for side in ("width", "height")]
        name = safe_name(self._path, image.get("name", ""))
        return picture(
            self._path, name, *size, boxes=tuple(boxes), tags=tags, complete_for=unique(complete)
        )  # fmt: skip


def _read(path: Path, left_out: Counter[str]) -> Iterator[Picture]:
    left_out.clear()
    reader = _Reader(path, left_out)
    for element in elements(path, {"image", "track"}):
        if element.tag == "track":
            refuse(path, "it has tracks; export it from CVAT as 'CVAT for images 1.1'")
        yield reader.picture(element)


def _read_whole(path: Path, left_out: Counter[str], labels: tuple[str, ...]) -> Iterator[Picture]:
    for one in _read(path, left_out):
        yield replace(one, complete_for=labels)


def label_list(labels: Iterable[str], tags: Iterable[str]) -> list[dict[str, Any]]:
    """Return labels, tags and our marks as CVAT's server wants them for a task."""
    labels, tags = tuple(labels), tuple(tags)
    listed: list[dict[str, Any]] = [{"name": name, "type": "any", "attributes": []} for name in labels]
    listed += [{"name": name, "type": "tag", "attributes": []} for name in tags]
    for mark, values in ((COMPLETE, labels), (ABSENT, tags)):
        if values:
            asked = {"name": _MARKS[mark], "input_type": "select", "mutable": False, "values": list(values)}
            listed.append({"name": mark, "type": "tag", "attributes": [asked | {"default_value": values[0]}]})
    return listed


def _meta(labels: Iterable[str], tags: Iterable[str], count: int) -> str:
    lines = []
    for one in label_list(labels, tags):
        attributes = "".join(
            f"<attribute><name>{a['name']}</name><mutable>False</mutable><input_type>select</input_type>"
            f"<default_value>{escape(a['default_value'])}</default_value>"
            f"<values>{escape(chr(10).join(a['values']))}</values></attribute>"
            for a in one["attributes"]
        )
        kind, name = one["type"], escape(one["name"])
        lines.append(f"<label><name>{name}</name><type>{kind}</type><attributes>{attributes}</attributes></label>")
    return (
        f"<meta><task><name>wayside</name><size>{count}</size><mode>annotation</mode><labels>\n"
        + "\n".join(lines)
        + "\n</labels></task></meta>\n"
    )


def _shapes(given: Picture) -> Iterator[str]:
    for b in given.boxes:
        common = f'label={quoteattr(b.label)} occluded="0" source="manual"'
        for ring in b.mask or ():
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)
            yield f'<polygon {common} points="{points}" z_order="0"></polygon>'
        if not b.mask:
            x1, y1, x2, y2 = (f"{side:.2f}" for side in b.box)
            yield f'<box {common} xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"></box>'
    for tag, state in given.tags.items():
        yield f"<tag label={quoteattr(tag)}></tag>" if state == "present" else _mark(ABSENT, tag)
    for label in given.complete_for:
        yield _mark(COMPLETE, label)


def _mark(mark: str, value: str) -> str:
    return f'<tag label="{mark}"><attribute name="{_MARKS[mark]}">{escape(value)}</attribute></tag>'


class Cvat:
    """The format. Places are written in hundredths of a pixel, as CVAT does; an outline of several rings as several."""

    name = "cvat"
    about = "an XML file, 'CVAT for images 1.1'"
    lacks: tuple[Part, ...] = ("scores", "cameras", "frames without labels")
    images: str | None = None

    def read(self, path: Path) -> Dataset:
        """Return the data set in the file `path`. It is gone through once to see whether it tells completeness."""
        file, left_out = _find(path), Counter[str]()
        labels, tags = _labels(file)
        told, found = False, Counter[str]()
        for one in _read(file, left_out):
            told = told or bool(one.complete_for)
            found.update(one.tags)
        make = partial(_read, file, left_out) if told else partial(_read_whole, file, left_out, labels)
        return Dataset(labels, Stream(make), unique((*tags, *found)), left_out)

    def write(self, dataset: Dataset, path: Path) -> None:
        """Write `dataset` to the file `path`. Pictures are gone through twice: CVAT wants their number first."""
        count = sum(1 for _ in dataset.pictures)
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8") as out:
            out.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
            out.write(_meta(dataset.labels, dataset.tags, count))
            for place, given in enumerate(dataset.pictures):
                size = f'width="{given.width}" height="{given.height}"'
                out.write(f'<image id="{place}" name={quoteattr(given.name)} {size}>\n')
                out.writelines(f"  {line}\n" for line in _shapes(given))
                out.write("</image>\n")
            out.write("</annotations>\n")
        part.replace(path)


FORMAT: Final = Cvat()
