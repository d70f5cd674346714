"""Large JSON files item by item, so that only one item is in memory at a time.

[item, item, ...]                            `items(path, None)`
{"categories": ..., "items": [item, ...]}    `head(path, "items")` for the rest, `items(path, "items")`
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from central.annotate.formats.reading import check_size, refuse

CHUNK: Final = 1 << 20
"""Characters that are read at first; doubled while an item is not whole."""
MAX_ITEM: Final = 64 << 20
"""Characters of one item; an image with 500 outlines of a hundred points has 2 MB."""
_SPACE: Final = " \t\r\n"
_NUMBER: Final = "0123456789.eE+-"
"""What a number that was read in part may go on with."""
_decoder: Final = json.JSONDecoder()


class _Cursor:
    """A place in a JSON text, of which just enough is in memory."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._text, self._at = "", 0

    def _more(self, count: int) -> bool:
        self._text = self._text[self._at :]
        self._at = 0
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


def _array(cursor: _Cursor) -> Iterator[Any]:
    cursor.take("[")
    if cursor.peek() == "]":
        cursor.take("]")
        return
    while True:
        yield cursor.value()
        if cursor.take(",]") == "]":
            return


def _walk(cursor: _Cursor, key: str, wanted: bool) -> Iterator[tuple[str, Any]]:
    """Yield the items of the array `key` as ``(key, item)``, or, unless `wanted`, all other keys with their values."""
    cursor.take("{")
    if cursor.peek() == "}":
        return
    while True:
        name = cursor.value()
        cursor.take(":")
        if name == key and cursor.peek() == "[":
            for item in _array(cursor):
                if wanted:
                    yield key, item
        else:
            value = cursor.value()
            if not wanted:
                yield str(name), value
        if cursor.take(",}") == "}":
            return


def items(path: Path, key: str | None) -> Iterator[Any]:
    """Yield the items of the array that the file at `path` is, or that its object has as `key`. Raises FormatError."""
    check_size(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            cursor = _Cursor(path, file)
            if key is None:
                yield from _array(cursor)
            else:
                yield from (item for _, item in _walk(cursor, key, True))
    except OSError as error:
        refuse(path, error.strerror or "it cannot be read")
    except UnicodeDecodeError:
        refuse(path, "not UTF-8 text")


def head(path: Path, key: str) -> dict[str, Any]:
    """Return what the object in the file at `path` has besides the array `key`. Raises FormatError."""
    check_size(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            return dict(_walk(_Cursor(path, file), key, False))
    except OSError as error:
        refuse(path, error.strerror or "it cannot be read")
    except UnicodeDecodeError:
        refuse(path, "not UTF-8 text")
