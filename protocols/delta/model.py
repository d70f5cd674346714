"""One model file as a delta of another: its weights by name, and what is left of it without them.

    model file -> skeleton (the file without the values of its weights)   a patch of the old skeleton
               -> layout (name, type, shape and place of each weight)     a patch of the old layout
               -> weights:  same | half of the main model's | steps | low rank | sparse | planes | raw, the smallest

The multiples of all weights on the grid go through the entropy coder together: its contexts are shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocols.delta import entropy, grid, low_rank, patch, plain, weights
from protocols.delta.errors import DeltaError
from protocols.delta.grid import Ints, Multiples
from protocols.delta.low_rank import Cross, Skeleton
from protocols.delta.weights import DTYPES, MAX_RANK, MAX_TENSORS, Array, Weight

MAX_LAYOUT: Final = 4 * 1024 * 1024
"""Bytes of a layout: 200 for each of MAX_TENSORS."""
MAX_GRID: Final = 16 * 1024 * 1024
"""Values on the grid of one model; beyond it they go as planes. A node decodes them in half a gigabyte."""

HALVED: Final = "_half"
"""What the 16-bit form of a weight adds to its name, in a variant of half precision."""
MAX_HALF: Final = 65504.0
"""The largest number of 16 bits; what is beyond is cut off, in a variant as on the node."""

_Size = Annotated[int, Meta(ge=0, le=1 << 30)]


class Kind(IntEnum):
    """How a weight travels."""

    SAME = 0
    STEPS = 1
    LOW_RANK = 2
    SPARSE = 3
    PLANES = 4
    RAW = 5
    HALF = 6
    """The main model's new weight, rounded to 16 bits: the same on every machine, by IEEE 754."""


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A weight in the layout. gap: bytes of skeleton before its values."""

    name: Annotated[str, Meta(max_length=1024)]
    dtype: Annotated[str, Meta(max_length=8)]
    shape: Annotated[list[_Size], Meta(max_length=MAX_RANK)]
    gap: _Size

    @property
    def count(self) -> int:
        """How many values it has."""
        found = 1
        for side in self.shape:
            found *= side
        return found

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return self.count * np.dtype(self.dtype).itemsize


class ModelDelta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A model file. kinds: a byte per weight; payloads: of those sparse, planes or raw, in order; contexts: a byte for
    each row of what is coded; levels: the steps of the rows on the grid; crosses: of those of low rank."""

    skeleton: bytes
    layout: bytes
    kinds: bytes
    payloads: list[bytes]
    contexts: bytes
    levels: bytes
    crosses: list[Cross]
    values: entropy.Stream


_Layout = list[Place]


def _taken_apart(data: bytes, found: list[Weight]) -> tuple[bytes, _Layout]:
    pieces, layout, at = [], [], 0
    for weight in found:
        pieces.append(data[at : weight.start])
        layout.append(Place(weight.name, weight.dtype, list(weight.shape), weight.start - at))
        at = weight.start + weight.size
    return b"".join([*pieces, data[at:]]), layout


def half(weight: Array) -> Array:
    """Return `weight`, float32, as a variant of half precision has it."""
    return np.asarray(np.clip(weight.astype(np.float32), -MAX_HALF, MAX_HALF).astype("<f2"))


def _halved(main: bytes, full: dict[str, Weight], name: str, dtype: str, shape: tuple[int, ...]) -> Array | None:
    """Return the weight `name` made of the main model's, None where it has no such weight."""
    source = full.get(name.removesuffix(HALVED))
    if source is None or dtype != "<f2" or (source.dtype, source.shape) != ("<f4", shape):
        return None
    return half(source.read(main))


def make(old: bytes, new: bytes, main: bytes = b"") -> ModelDelta | None:
    """Return what turns the model file `old` into `new`; None where one of them has no weights to be read.

    `main` is the new pack's model of full precision, where `new` is a variant of it: it is there when this is applied.
    """
    before, after = weights.find(old), weights.find(new)
    if not before or not after:
        return None
    old_skeleton, old_layout = _taken_apart(old, before)
    skeleton, layout = _taken_apart(new, after)
    by_name = {weight.name: weight for weight in before}
    full = {weight.name: weight for weight in weights.find(main)}
    kinds, payloads, coder = bytearray(), [], _Writer()
    for weight in after:
        own = weight.read(new)
        halved = _halved(main, full, weight.name, weight.dtype, weight.shape)
        if halved is not None and halved.tobytes() == own.tobytes():
            kinds.append(Kind.HALF)
            continue
        base = by_name.get(weight.name)
        fits = base is not None and (base.dtype, base.shape) == (weight.dtype, weight.shape)
        kind, payload = _choose(base.read(old) if base is not None and fits else None, own, coder)
        kinds.append(kind)
        payloads += [payload] if payload is not None else []
    encode = msgspec.msgpack.encode
    contexts, levels, values = coder.finish()
    return ModelDelta(
        patch.make(old_skeleton, skeleton), patch.make(encode(old_layout), encode(layout)),
        patch.make(b"", bytes(kinds)), payloads, contexts, levels, coder.crosses, values,
    )  # fmt: skip


def _bits(*matrices: Ints) -> float:
    """Return about how many bits the entropy coder needs for `matrices`."""
    return sum(float(np.log2(1 + 2 * np.abs(m).astype(np.float64)).sum()) + m.size / 16 for m in matrices)


class _Writer:
    """Collects the matrices that the entropy coder gets."""

    def __init__(self) -> None:
        self.crosses: list[Cross] = []
        self.count = 0
        self._contexts: list[NDArray[np.uint8]] = []
        self._levels: list[NDArray[np.uint8]] = []
        self._values: list[tuple[NDArray[np.uint8], Ints]] = []

    def add(self, matrix: Ints) -> None:
        """Append the values of `matrix` ``[R, K]``; rows of zeros cost their context only."""
        contexts = entropy.context_of(np.abs(matrix).mean(1))
        kept = contexts > 0
        self._contexts.append(contexts)
        self._values.append((np.repeat(contexts[kept], matrix.shape[1]), matrix[kept].reshape(-1)))
        self.count += int(kept.sum()) * matrix.shape[1]

    def steps(self, found: Multiples) -> Kind:
        """Append a weight on the grid."""
        moved = found.multiples.any(1)
        common = grid.common(found) if len(found.levels) > 1 else None
        skeleton = low_rank.find(common.multiples) if common is not None else None
        if common is None or skeleton is None or _bits(skeleton.columns, skeleton.rows) > _bits(found.multiples):
            self.add(found.multiples)
            self._levels.append(found.levels[moved])
            return Kind.STEPS
        self.crosses.append(skeleton.cross)
        self._levels.append(common.levels[:1])
        self.add(skeleton.columns.T)
        self.add(skeleton.rows)
        return Kind.LOW_RANK

    def finish(self) -> tuple[bytes, bytes, entropy.Stream]:
        """Return contexts, levels and values, coded."""
        none = np.zeros(0, np.uint8)
        contexts = np.concatenate([none, *self._contexts]).tobytes()
        levels = np.concatenate([none, *self._levels]).tobytes()
        of = np.concatenate([none, *(c for c, _ in self._values)])
        values = np.concatenate([np.zeros(0, np.int64), *(v for _, v in self._values)])
        return patch.make(b"", contexts), patch.make(b"", levels), entropy.encode(values, of)


def _choose(old: Array | None, new: Array, coder: _Writer) -> tuple[Kind, bytes | None]:
    if old is None:
        return Kind.RAW, plain.raw(new)
    if old.tobytes() == new.tobytes():
        return Kind.SAME, None
    if new.dtype == np.float32 and coder.count + new.size <= MAX_GRID:
        found = grid.recover(grid.rows(old.astype(np.float32)), grid.rows(new.astype(np.float32)))
        if found is not None:
            return coder.steps(found), None
    candidates = [(Kind.PLANES, plain.planes(old, new)), (Kind.RAW, plain.raw(new))]
    scattered = plain.sparse(old, new)
    if scattered is not None:
        candidates.append((Kind.SPARSE, scattered))
    return min(candidates, key=lambda c: len(c[1]))


class _Reader:
    """Gives the matrices back in the order in which they were written."""

    def __init__(self, delta: ModelDelta, plans: list[tuple[tuple[int, int], ...]]) -> None:
        shapes = [shape for plan in plans for shape in plan]
        rows = sum(height for height, _ in shapes)
        self._contexts = np.frombuffer(patch.apply(b"", delta.contexts, rows), np.uint8)
        widths = np.repeat([width for _, width in shapes], [height for height, _ in shapes])
        if (self._contexts > entropy.MAX_CONTEXT).any():
            raise DeltaError("a weight has a context that there is not")
        total = int(widths[self._contexts > 0].sum()) if rows else 0
        if total > MAX_GRID:
            raise DeltaError(f"{total} values on the grid, more than the {MAX_GRID} allowed")
        each = np.repeat(self._contexts, np.where(self._contexts > 0, widths, 0)) if rows else self._contexts
        self._values = entropy.decode(delta.values, each)
        self._levels = np.frombuffer(patch.apply(b"", delta.levels, limit=max(rows, 1)), np.uint8)
        self._crosses = iter(delta.crosses)
        self._row = self._value = self._level = 0

    def matrix(self, height: int, width: int) -> Ints:
        """Return the next matrix."""
        found = np.zeros((height, width), np.int64)
        kept = self._contexts[self._row : self._row + height] > 0
        size = int(kept.sum()) * width
        found[kept] = self._values[self._value : self._value + size].reshape(-1, width)
        self._row, self._value = self._row + height, self._value + size
        if np.abs(found).max(initial=0) > grid.LIMIT:
            raise DeltaError("a value is beyond the grid")
        return found

    def levels(self, count: int) -> NDArray[np.uint8]:
        """Return the next levels."""
        found = self._levels[self._level : self._level + count]
        if len(found) != count:
            raise DeltaError("a weight lacks its steps")
        self._level += count
        return found

    def steps(self, old: Array) -> Array:
        """Return the next weight on the grid."""
        base = grid.rows(np.asarray(old, np.float32))
        multiples = self.matrix(*base.shape)
        levels = np.zeros(len(base), np.uint8)
        moved = multiples.any(1)
        levels[moved] = self.levels(int(moved.sum()))
        return grid.add(base, Multiples(multiples, levels)).reshape(old.shape)

    def low_rank(self, old: Array, cross: Cross) -> Array:
        """Return the next weight that changed by a matrix of low rank."""
        base = grid.rows(np.asarray(old, np.float32))
        low_rank.check(cross, (base.shape[0], base.shape[1]))
        level, rank = self.levels(1), len(cross.rows)
        columns = self.matrix(rank, base.shape[0]).T
        rows = self.matrix(rank, base.shape[1])
        multiples = low_rank.matrix(Skeleton(cross, columns, rows))
        return grid.add(base, Multiples(multiples, np.repeat(level, len(base)))).reshape(old.shape)


def _layout(old: _Layout, data: bytes, size: int) -> _Layout:
    encoded = patch.apply(msgspec.msgpack.encode(old), data, limit=MAX_LAYOUT)
    try:
        found = msgspec.msgpack.decode(encoded, type=_Layout)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DeltaError(f"layout: {str(error)[:100]}") from None
    if len(found) > MAX_TENSORS or any(place.dtype not in DTYPES.values() for place in found):
        raise DeltaError("layout: too many weights, or of an unknown type")
    if sum(place.size + place.gap for place in found) > size:
        raise DeltaError(f"layout: more than the {size} bytes of the file")
    return found


def apply(old: bytes, delta: ModelDelta, size: int, main: bytes = b"") -> bytes:
    """Return the model file of `size` bytes that `delta` makes of `old` and the new `main` model. Raises DeltaError."""
    before = weights.find(old)
    old_skeleton, old_layout = _taken_apart(old, before)
    layout = _layout(old_layout, delta.layout, size)
    kinds = patch.apply(b"", delta.kinds, len(layout))
    by_name = {weight.name: weight for weight in before}
    found = _values(old, by_name, layout, kinds, delta, main)
    skeleton = patch.apply(old_skeleton, delta.skeleton, size - sum(place.size for place in layout))
    pieces, at = [], 0
    for place, values in zip(layout, found, strict=True):
        pieces += [skeleton[at : at + place.gap], values.tobytes()]
        at += place.gap
    return b"".join([*pieces, skeleton[at:]])


def _base(by_name: dict[str, Weight], place: Place, kind: int) -> Weight | None:
    """Return the old weight that `place` changes, None for new values. Raises DeltaError where it does not fit."""
    if kind in (Kind.RAW, Kind.HALF):
        return None
    base = by_name.get(place.name)
    if base is None or (base.dtype, list(base.shape)) != (place.dtype, place.shape) or kind > Kind.HALF:
        raise DeltaError(f"weight {place.name[:60]!r} is not in the old pack in this form")
    if kind in (Kind.STEPS, Kind.LOW_RANK) and base.dtype != "<f4":
        raise DeltaError(f"weight {place.name[:60]!r} is not of float32 and cannot be on the grid")
    return base


def _shape(base: Weight) -> tuple[int, int]:
    rows = base.shape[0] if len(base.shape) > 1 else 1
    return rows, base.size // 4 // rows


def _from_main(main: bytes, full: dict[str, Weight], place: Place) -> Array:
    found = _halved(main, full, place.name, place.dtype, tuple(place.shape))
    if found is None:
        raise DeltaError(f"weight {place.name[:60]!r} is not in the main model in this form")
    return found


def _values(
    old: bytes, by_name: dict[str, Weight], layout: _Layout, kinds: bytes, delta: ModelDelta, main: bytes
) -> list[Array]:
    if kinds.count(Kind.LOW_RANK) != len(delta.crosses):
        raise DeltaError("weights of low rank and their rows and columns are not equally many")
    if sum(kinds.count(k) for k in (Kind.SPARSE, Kind.PLANES, Kind.RAW)) != len(delta.payloads):
        raise DeltaError("weights and their values are not equally many")
    bases = [_base(by_name, place, kind) for place, kind in zip(layout, kinds, strict=True)]
    crosses, payloads, crossing = iter(delta.crosses), iter(delta.payloads), iter(delta.crosses)
    plans = [_plan(_shape(base), kind, crossing) for base, kind in zip(bases, kinds, strict=True) if base is not None]
    reader = _Reader(delta, plans)
    full = {weight.name: weight for weight in weights.find(main)} if Kind.HALF in kinds else {}
    found: list[Array] = []
    for place, base, kind in zip(layout, bases, kinds, strict=True):
        values = None if base is None else base.read(old)
        if kind == Kind.HALF:
            found.append(_from_main(main, full, place))
        elif values is None:
            found.append(plain.from_raw(next(payloads), place.dtype, tuple(place.shape)))
        elif kind == Kind.STEPS:
            found.append(reader.steps(values))
        elif kind == Kind.LOW_RANK:
            found.append(reader.low_rank(values, next(crosses)))
        elif kind == Kind.SAME:
            found.append(values)
        else:
            found.append((plain.from_sparse if kind == Kind.SPARSE else plain.from_planes)(next(payloads), values))
    return found


def _plan(shape: tuple[int, int], kind: int, crosses: Iterator[Cross]) -> tuple[tuple[int, int], ...]:
    """Return the shapes of the matrices that a weight of `shape` has among the coded values."""
    if kind == Kind.STEPS:
        return (shape,)
    if kind == Kind.LOW_RANK:
        rank = len(next(crosses).rows)
        return (rank, shape[0]), (rank, shape[1])
    return ()
