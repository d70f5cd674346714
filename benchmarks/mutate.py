"""Hostile bytes from sound ones: structure-aware where the encoding is known, plain damage to bytes otherwise.

    Seed(data, encoding) -> mutate(seed, draw) -> bytes

Half of the time a tree (JSON or MessagePack) is taken apart, one or a few of its values are replaced, removed, doubled
or nested, and it is encoded again, so that what arrives is well-formed and wrong; else bits flip, pieces vanish, repeat
or come from another seed; one in twenty is noise. The same draw gives the same bytes.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

Encoding = Literal["json", "msgpack", "bytes"]

NOISE: Final = 0.05
STRUCTURED: Final = 0.5
DEPTH: Final = 400
"""Of nested lists: beyond what a careless reader survives."""
MANY: Final = 2000
"""Copies of an item of a list."""


@dataclass(frozen=True)
class Seed:
    """Sound bytes, and how they are encoded."""

    data: bytes
    encoding: Encoding = "bytes"


def _nested() -> Any:
    value: Any = 0
    for _ in range(DEPTH):
        value = [value]
    return value


HOSTILE: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"), "", " ", "a", "A" * 5000, "\x00", "../../etc/passwd", "/", "a/b", "+",
    "#", "$SYS/#", "é" * 70, "\ufeff", "\u202e", "1e999", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z",
    "2026-02-30T00:00:00+99:99", "<script>alert(1)</script>", "'; DROP TABLE frame; --", "0" * 64, "f" * 65,
    b"", b"\xff" * 40, [], {}, [[]], [None] * 300, {"": ""}, {"a": {"a": {"a": 1}}}, _nested(),
)  # fmt: skip


def mutate(seed: Seed, others: list[Seed], draw: random.Random) -> bytes:
    """Return something like `seed`, but wrong; `others` lend pieces."""
    if draw.random() < NOISE:
        return draw.randbytes(draw.choice((0, 1, 7, 64, 400, 3000)))
    if seed.encoding != "bytes" and draw.random() < STRUCTURED:
        try:
            made = _encode(_wrong(_decode(seed), draw), seed.encoding)
        except (msgspec.MsgspecError, OverflowError, RecursionError, ValueError, TypeError):
            made = seed.data
        if made != seed.data:
            return made
    data = bytearray(seed.data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        draw.choice(_DAMAGES)(data, draw.choice(others).data, draw)
    return bytes(data)


def _decode(seed: Seed) -> Any:
    return msgspec.json.decode(seed.data) if seed.encoding == "json" else msgspec.msgpack.decode(seed.data)


def _encode(value: Any, encoding: Encoding) -> bytes:
    return msgspec.json.encode(value) if encoding == "json" else msgspec.msgpack.encode(value)


def _hostile(draw: random.Random) -> Any:
    return copy.deepcopy(draw.choice(HOSTILE))  # what is put into a tree may be made worse there


def _wrong(tree: Any, draw: random.Random) -> Any:
    for _ in range(draw.choice((1, 1, 2, 5))):
        places: list[tuple[Any, Any]] = []
        _walk(tree, places)
        if not places:
            return _hostile(draw)
        holder, key = draw.choice(places)
        what = draw.randrange(5)
        if what == 0 and isinstance(holder, dict):
            del holder[key]
        elif what == 1 and isinstance(holder, list):
            # Many copies once: copies of copies of copies would fill the memory of whoever makes them.
            holder[key:key] = [holder[key]] * draw.choice((1, 3, MANY if len(places) < MANY else 2))
        elif what == 2 and isinstance(holder, dict):
            holder[draw.choice(("", "id", "node", "x" * 300, "__class__"))] = _hostile(draw)
        elif what == 3 and isinstance(holder[key], str):
            holder[key] = _text(holder[key], draw)
        else:
            holder[key] = _hostile(draw)
    return tree


def _text(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(("\x00", "\n", "/", "+", "%s", "é", "\U0001f600", "0" * 200)) + text[at + 1 :]


def _walk(tree: Any, places: list[tuple[Any, Any]]) -> None:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        places.append((tree, key))
        _walk(value, places)


# --- damage to bytes, in place ---


def _flip(data: bytearray, _other: bytes, draw: random.Random) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _overwrite(data: bytearray, _other: bytes, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    piece = draw.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", draw.randbytes(4)))
    data[at : at + len(piece)] = piece


def _cut(data: bytearray, _other: bytes, draw: random.Random) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _remove(data: bytearray, _other: bytes, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    del data[at : at + draw.choice((1, 2, 8, 100))]


def _repeat(data: bytearray, _other: bytes, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = bytes(data[at : at + draw.choice((1, 8, 64))]) * draw.choice((1, 2, 50))


def _splice(data: bytearray, other: bytes, draw: random.Random) -> None:
    at, start = draw.randrange(len(data) + 1), draw.randrange(len(other) + 1)
    data[at : at + draw.choice((0, 4, 32))] = other[start : start + draw.choice((1, 16, 200))]


_DAMAGES: Final[tuple[Callable[[bytearray, bytes, random.Random], None], ...]] = (
    _flip, _flip, _overwrite, _cut, _remove, _repeat, _splice,
)  # fmt: skip
