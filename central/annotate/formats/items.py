"""Large JSON files item by item, so that only one item is in memory at a time.

[item, item, ...]                            `items(path, None)`
{"categories": ..., "items": [item, ...]}    `head(path, "items")` for the rest, `items(path, "items")`
{"images": [...], "annotations": [...]}      `places(path, ...)`: each item with where it lies, to be read again
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from central.annotate.formats.reading import check_size, refuse

CHUNK: Final = 1 << 20
"""Characters that are read at first; doubled while an item is not whole."""
MAX_ITEM: Final = 64 << 20
"""Characters of one item; an image with 500 outlines of a hundred points has 2 MB."""
_SPACE: Final = " \t\r\n"
_NUMBER: Final = "0123456789.eE+-"
"""What a number that was read in part may go on with."""
_decoder: Final = json.JSONDecoder()


_MARK: Final = b"\xef\xbb\xbf"
"""What some editors put at the start of a file."""


class Placed(NamedTuple):
    """An item of the array `key`, and the bytes of the file that it is."""

    key: str
    value: Any
    start: int
    size: int


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class _Cursor:
    """A place in a JSON text, of which just enough is in memory."""

    def __init__(self, path: Path, file: TextIO, start: int = 0) -> None:
        self._path, self._file = path, file
        self._text, self._at = "", 0
        self._counted, self._passed = 0, start
        """Characters of the text that were counted, and bytes of the file before their end."""

    def where(self) -> int:
        """Return the number of bytes before this place."""
        self._passed += _bytes(self._text[self._counted : self._at])
        self._counted = self._at
        return self._passed

    def end(self) -> None:
        """Refuse what comes after the end. Raises FormatError."""
        if self.peek():
            refuse(self._path, "not JSON: there is more after its end")

    def _more(self, count: int) -> bool:
        self.where()
        self._text = self._text[self._at :]
        self._at = self._counted = 0
        if len(self._text) > MAX_ITEM:
            refuse(self._path, f"one of its items has more than {MAX_ITEM} characters")
        read = self._file.read(count)
        self._text += read
        return bool(read)

    def peek(self) -> str:
        """Return the next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(CHUNK):
                return ""

    def take(self, wanted: str) -> str:
        """Return the next character, which must be one of `wanted`. Raises FormatError."""
        found = self.peek()
        if not found or found not in wanted:
            refuse(self._path, f"not JSON of this kind: {found or 'its end'!r} where one of {wanted} should be")
        self._at += 1
        return found

    def value(self) -> Any:
        """Return the next value. Raises FormatError."""
        self.peek()
        count = CHUNK
        while True:
            try:
                found, end = _decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more(count):
                    refuse(self._path, f"not JSON: {error.msg}")
            except (RecursionError, ValueError) as error:
                refuse(self._path, f"not JSON of this kind: {error}")
            else:
                start = self._at
                if end < len(self._text) and self._text[end] not in _NUMBER:
                    self._at = end
                    return found
                if not self._more(count):  # a number at the end of what was read may go on in what was not
                    self._at = end - start
                    return found
            count *= 2


def _array(cursor: _Cursor) -> Iterator[tuple[int, Any]]:
    """Yield the items of an array, each with the number of bytes before it."""
    cursor.take("[")
    if cursor.peek() == "]":
        cursor.take("]")
        return
    while True:
        cursor.peek()
        yield cursor.where(), cursor.value()
        if cursor.take(",]") == "]":
            return


def _walk(cursor: _Cursor, keys: Collection[str]) -> Iterator[Placed]:
    """Yield the items of the arrays `keys` in their order in the file, each array's after None with a size of 0, and
    each other key with its value."""
    cursor.take("{")
    if cursor.peek() == "}":
        cursor.take("}")
        return
    while True:
        name = str(cursor.value())
        cursor.take(":")
        if name in keys and cursor.peek() == "[":
            yield Placed(name, None, cursor.where(), 0)
            for start, item in _array(cursor):
                yield Placed(name, item, start, cursor.where() - start)
        else:
            cursor.peek()
            start = cursor.where()
            yield Placed(name, cursor.value(), start, 0)
        if cursor.take(",}") == "}":
            return


@contextmanager
def _open(path: Path) -> Iterator[_Cursor]:
    check_size(path)
    try:
        with path.open("rb") as raw:
            marked = raw.read(len(_MARK)) == _MARK
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield _Cursor(path, file, len(_MARK) if marked else 0)
    except OSError as error:
        refuse(path, error.strerror or "it cannot be read")
    except UnicodeDecodeError:
        refuse(path, "not UTF-8 text")


def places(path: Path, keys: Collection[str]) -> Iterator[Placed]:
    """Yield the items of the arrays `keys` of the object in the file at `path`, in their order there. With a size of 0
    come None where such an array begins, and each other key's value. Raises FormatError."""
    with _open(path) as cursor:
        yield from _walk(cursor, keys)
        cursor.end()


def items(path: Path, key: str | None) -> Iterator[Any]:
    """Yield the items of the array that the file at `path` is, or that its object has as `key`. Raises FormatError."""
    if key is not None:
        yield from (one.value for one in places(path, (key,)) if one.size)
        return
    with _open(path) as cursor:
        yield from (item for _, item in _array(cursor))
        cursor.end()


def head(path: Path, key: str) -> dict[str, Any]:
    """Return what the object in the file at `path` has besides the array `key`. Raises FormatError."""
    return {one.key: one.value for one in places(path, (key,)) if one.key != key}
