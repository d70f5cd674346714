"""What every reader checks: names that stay in their folder, numbers that are numbers, files of a bearable size.

No file names another one outside its folder, no XML has a document type (and so no entities), no number is infinite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from central.annotate.boxes import Mask
from central.annotate.formats import FormatError, Picture
from central.annotate.sizes import MAX_SIDE, size_of
from protocols.messages import MAX_LABEL, Box

MAX_FILE: Final = 2 * 1024 * 1024 * 1024
"""Bytes; the whole of COCO's own training annotations has a quarter of it."""
MAX_SMALL: Final = 16 * 1024 * 1024
"""Bytes of a file that tells of one image, or of names only."""
MAX_NAME: Final = 1000
"""Characters of a file name with its folders."""
MAX_COORDINATE: Final = 10.0 * MAX_SIDE
MAX_POINTS: Final = 10_000
"""Of one outline; hands draw dozens, models hundreds."""
CHUNK: Final = 64 * 1024
"""Bytes of XML that are parsed at a time."""
MAX_DEPTH: Final = 32
"""Of nested XML elements; the formats have five."""
_BAD: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of characters, which no text has and JSON can smuggle in."""
_DRIVE: Final = re.compile(r"^[A-Za-z]:")


def refuse(path: Path, why: str) -> NoReturn:
    """Raise FormatError about the file at `path`, in one line."""
    raise FormatError(f"{path}: {' '.join(str(why).split())[:300]}")


def check_size(path: Path, limit: int = MAX_FILE, kind: str = "data set") -> None:
    """Raise FormatError where there is no file at `path`, or one of more than `limit` bytes."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; give a {kind}") from None
    if size > limit:
        refuse(path, f"more than {limit} bytes")


def text(path: Path, limit: int = MAX_SMALL) -> str:
    """Return the text of a small file. Raises FormatError."""
    check_size(path, limit, "text file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        refuse(path, "not UTF-8 text")


def safe_name(path: Path, name: str) -> str:
    """Return the file name `name` with plain slashes. Raises FormatError for one that leads out of its folder."""
    plain = PurePosixPath(name.replace("\\", "/"))
    leads_out = plain.is_absolute() or ".." in plain.parts or _DRIVE.match(name)
    if not name or len(name) > MAX_NAME or _BAD.search(name) or leads_out:
        refuse(path, f"the image name {name[:100]!r} is empty, too long or leads out of the folder of the images")
    return str(plain)


def label_name(path: Path, name: Any) -> str:
    """Return `name` where it may name a label or a tag. Raises FormatError."""
    if not isinstance(name, str):  # not shown: a few lines of YAML can be gigabytes of text
        refuse(path, f"a label is no text, but {type(name).__name__}")
    if not name.strip() or len(name) > MAX_LABEL or _BAD.search(name):
        refuse(path, f"the label {name[:100]!r} is empty, too long or has control characters")
    return name


def number(path: Path, value: Any, what: str = "coordinate") -> float:
    """Return `value` as a finite number of bearable size. Raises FormatError."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        refuse(path, f"the {what} {str(value)[:40]!r} is not a number")
    if not math.isfinite(found) or abs(found) > MAX_COORDINATE:
        refuse(path, f"the {what} {str(value)[:40]!r} is not finite or too large")
    return found


def outline(path: Path, flat: Collection[Any]) -> tuple[tuple[float, float], ...]:
    """Return ``x1, y1, x2, y2 ...`` as points. Raises FormatError for fewer than three, or too many."""
    values = [number(path, v) for v in flat]
    if len(values) < 6 or len(values) % 2 or len(values) > 2 * MAX_POINTS:
        refuse(path, f"an outline of {len(values)} numbers; it needs pairs, three to {MAX_POINTS} of them")
    return tuple(zip(values[::2], values[1::2], strict=True))


def around(mask: Mask) -> Box:
    """Return the box around `mask`."""
    xs, ys = [x for ring in mask for x, _ in ring], [y for ring in mask for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


def picture(path: Path, name: str, width: int, height: int, **rest: Any) -> Picture:
    """Return a checked picture. Raises FormatError."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        refuse(path, f"{name[:100]!r} has {width} x {height} pixels")
    return Picture(safe_name(path, name), int(width), int(height), **rest)


class _Builder(ElementTree.TreeBuilder):
    """Collects the elements whose name is in `wanted`; refuses document types and deep nesting."""

    def __init__(self, wanted: Collection[str]) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._wanted, self._depth = wanted, 0

    def start(self, tag: Any, attrs: Any) -> Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FormatError("its elements are nested too deeply")
        return super().start(tag, attrs)

    def end(self, tag: Any) -> Element:
        self._depth -= 1
        element = super().end(tag)
        if tag in self._wanted:
            self.found.append(element)
        return element

    def doctype(self, _name: str, _pubid: str | None, _system: str | None) -> None:
        raise FormatError("it has a document type, which may hide files and bombs; remove it")


def _parse(path: Path, builder: _Builder, limit: int) -> Iterator[Element]:
    """Feed the file at `path` to `builder`, yield what it finds, and its root as the last one. Raises FormatError."""
    check_size(path, limit, "XML file")
    parser = ElementTree.XMLParser(target=builder)
    try:
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(CHUNK), b""):
                parser.feed(chunk)
                yield from builder.found
                builder.found.clear()
        yield parser.close()
    except FormatError as error:
        refuse(path, str(error).removeprefix(f"{path}: "))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        refuse(path, f"not XML of this kind: {error}")
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}") from None


def elements(path: Path, wanted: Collection[str], limit: int = MAX_FILE) -> Iterator[Element]:
    """Yield each whole element of the XML file at `path` whose name is in `wanted`, then forget it. Raises FormatError.

    Elements inside of a wanted one come before it, where they are wanted too.
    """
    last = None
    for element in _parse(path, _Builder(wanted), limit):
        if last is not None:
            yield last
            last.clear()
        last = element


def document(path: Path, limit: int = MAX_SMALL) -> Element:
    """Return the root of the XML file at `path`. Raises FormatError."""
    *_, root = _parse(path, _Builder(()), limit)
    return root


def child(path: Path, element: Element, name: str) -> str:
    """Return the text of the child `name` of `element`. Raises FormatError where it has none."""
    found = (element.findtext(name) or "").strip()
    if not found:
        refuse(path, f"<{element.tag}> has no <{name}>")
    return found


def image_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of the image at `path` by its first bytes; None where they do not tell."""
    try:
        with path.open("rb") as file:
            return size_of(file.read(CHUNK * 4))
    except OSError:
        return None


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return `names` without those that came before, in order."""
    return tuple(dict.fromkeys(names))
