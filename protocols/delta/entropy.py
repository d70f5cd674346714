"""Small integers to few bits: static interleaved rANS, vectorised over its lanes.

    rows of integers -> a context per row (how large its values are) -> symbol + spare low bits -> words of 16 bits

Duda, "Asymmetric numeral systems" (arXiv 1311.2540), in the range variant; interleaving as in Giesen (arXiv 1402.3392).
Symbol ``i * lanes + j`` belongs to lane ``j``, so a step of the coder is a handful of operations on whole arrays. All
arithmetic is on integers: what one machine writes, any other reads.

A row whose values are large keeps `shift` of their low bits as they are, for those are noise; the high parts are coded
by frequencies that the row's context counted. Values beyond the alphabet are escapes and lie aside in full.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocols.delta.errors import DeltaError

LOG_TOTAL: Final = 12
"""Frequencies of a context sum up to 2 ** LOG_TOTAL: the rarest symbol costs 12 bits, the surest 1/2800 of one."""
TOTAL: Final = 1 << LOG_TOTAL
LOW: Final = 1 << 16
"""A state is in LOW .. LOW << 16, and grows or shrinks by words of 16 bits."""
REACH: Final = 31
"""High parts -REACH .. REACH have symbols of their own; one more symbol is the escape."""
ALPHABET: Final = 2 * REACH + 2
ESCAPE: Final = ALPHABET - 1
SPREAD: Final = 4.0
"""Mean magnitude that high parts may have: the alphabet then holds all but a few in ten thousand values."""
MAX_CONTEXT: Final = 63
"""Contexts are half octaves of the mean magnitude, from 2 ** -8 up; 0 is a row of zeros."""
SYMBOLS_PER_LANE: Final = 8192
"""A lane costs some two bytes, of the two thousand that it then holds; a million symbols are read in a second."""
MAX_LANES: Final = 1024
MAX_SYMBOLS: Final = 128 * 1024 * 1024
"""Of one stream; a pack of 512 MB holds as many float32."""

Ints = NDArray[np.int64]


class Stream(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Coded symbols. frequencies: uint16 ``[contexts used, ALPHABET]``; words: uint16; spare: bits; escapes: int32."""

    lanes: Annotated[int, Meta(ge=1, le=MAX_LANES)]
    contexts: bytes
    """The contexts that have frequencies, a byte each, rising."""
    frequencies: bytes
    states: bytes
    words: bytes
    spare: bytes
    escapes: bytes


def shifts(contexts: NDArray[np.uint8]) -> Ints:
    """Return how many low bits the values of rows of `contexts` keep as they are."""
    octaves = (contexts.astype(np.int64) - 17) // 2 - int(np.log2(SPREAD)) + 1
    return np.maximum(octaves, 0)


def context_of(magnitude: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the context of rows of mean `magnitude`; 0 where all is zero."""
    with np.errstate(divide="ignore"):
        level = np.floor(2 * np.log2(magnitude)) + 17
    level = np.clip(np.where(magnitude > 0, level, 0), (magnitude > 0).astype(float), MAX_CONTEXT)
    return np.asarray(level, np.uint8)


def _table(counts: Ints) -> NDArray[np.uint16]:
    """Return frequencies that sum up to TOTAL for `counts` ``[ALPHABET]``, at least 1 for what occurs."""
    scaled = np.maximum((counts * TOTAL) // max(1, int(counts.sum())), (counts > 0).astype(np.int64))
    # The error of rounding is at most one per symbol: the most frequent bears it least.
    scaled[int(np.argmax(scaled))] += TOTAL - int(scaled.sum())
    return scaled.astype(np.uint16)


def lanes_for(count: int) -> int:
    """Return the number of lanes for `count` symbols, a power of two."""
    lanes = 1
    while lanes < MAX_LANES and lanes * SYMBOLS_PER_LANE < count:
        lanes *= 2
    return lanes


def encode(values: Ints, contexts: NDArray[np.uint8]) -> Stream:
    """Return `values` ``[N]`` (32 bit), each with the context of its row ``[N]``, as a stream."""
    shift = shifts(contexts)
    high = values >> shift
    escaped = np.abs(high) > REACH
    symbols = np.where(escaped, ESCAPE, high + REACH)
    spare = _pack_bits(values & ((1 << shift) - 1), np.where(escaped, 0, shift))
    used = np.unique(contexts)
    slot = np.searchsorted(used, contexts)
    counted = np.bincount(slot * ALPHABET + symbols, minlength=len(used) * ALPHABET).reshape(-1, ALPHABET)
    frequencies = np.array([_table(row) for row in counted], np.uint16).reshape(-1, ALPHABET)
    lanes = lanes_for(len(values))
    states, words = _encode(symbols, slot, frequencies, lanes)
    return Stream(
        lanes, used.astype(np.uint8).tobytes(), frequencies.astype("<u2").tobytes(), states.astype("<u4").tobytes(),
        words.astype("<u2").tobytes(), spare, values[escaped].astype("<i4").tobytes(),
    )  # fmt: skip


def _starts(frequencies: NDArray[np.uint16]) -> NDArray[np.uint64]:
    wide = frequencies.astype(np.uint64)
    return np.asarray(np.cumsum(wide, 1) - wide, np.uint64)


def _encode(
    symbols: Ints, slot: Ints, frequencies: NDArray[np.uint16], lanes: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
    frequency = frequencies[slot, symbols].astype(np.uint64)
    start = _starts(frequencies)[slot, symbols]
    states = np.full(lanes, LOW, np.uint64)
    emitted: list[NDArray[np.uint16]] = []
    for at in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        f, c = frequency[at : at + lanes], start[at : at + lanes]
        state = states[: len(f)]
        full = state >= (f << np.uint64(32 - LOG_TOTAL))
        emitted.append(state[full].astype(np.uint16))  # the low 16 bits
        state[full] >>= np.uint64(16)
        quotient, rest = np.divmod(state, f)
        state[:] = (quotient << np.uint64(LOG_TOTAL)) + rest + c
    words = np.concatenate(emitted[::-1]) if emitted else np.zeros(0, np.uint16)
    return states, words


def _pack_bits(values: Ints, width: Ints) -> bytes:
    """Return the low `width` bits of each of `values`, one after the other, lowest bit first."""
    bits = range(int(width.max(initial=0)))
    planes = (((values[width > bit] >> bit) & 1).astype(np.uint8) for bit in bits)
    return b"".join(np.packbits(plane).tobytes() for plane in planes)


def _unpack_bits(data: bytes, width: Ints) -> Ints:
    values = np.zeros(len(width), np.int64)
    at = 0
    for bit in range(int(width.max(initial=0))):
        taken = np.flatnonzero(width > bit)
        size = (len(taken) + 7) // 8
        if at + size > len(data):
            raise DeltaError("coded values end too early")
        plane = np.unpackbits(np.frombuffer(data, np.uint8, size, at), count=len(taken))
        values[taken] |= plane.astype(np.int64) << bit
        at += size
    if at != len(data):
        raise DeltaError("coded values have bits left over")
    return values


def _array(data: bytes, kind: str, count: int | None = None) -> NDArray[np.int64]:
    if len(data) % np.dtype(kind).itemsize or (count is not None and len(data) != count * np.dtype(kind).itemsize):
        raise DeltaError("coded values are not whole")
    return np.frombuffer(data, kind).astype(np.int64)


def decode(stream: Stream, contexts: NDArray[np.uint8]) -> Ints:
    """Return the values ``[N]`` that `stream` holds for `contexts` ``[N]``. Raises DeltaError.

    Time and memory are bounded by the length of `contexts`, which is the receiver's own.
    """
    if len(contexts) > MAX_SYMBOLS:
        raise DeltaError(f"{len(contexts)} values in one stream, more than the {MAX_SYMBOLS} allowed")
    used = _array(stream.contexts, "u1")
    frequencies = _array(stream.frequencies, "<u2", len(used) * ALPHABET).reshape(-1, ALPHABET).astype(np.uint16)
    if len(used) > MAX_CONTEXT + 1 or (np.diff(used) <= 0).any() or (frequencies.sum(1, dtype=np.int64) != TOTAL).any():
        raise DeltaError("the frequencies of coded values are not what they must be")
    slot = np.searchsorted(used, contexts) if len(used) else np.zeros(len(contexts), np.int64)
    if len(contexts) and (not len(used) or slot.max() >= len(used) or (used[slot] != contexts).any()):
        raise DeltaError("coded values have a context without frequencies")
    states = _array(stream.states, "<u4", stream.lanes).astype(np.uint64)
    words = _array(stream.words, "<u2").astype(np.uint64)
    symbols = _decode(slot, frequencies, states, words)
    escaped = symbols == ESCAPE
    escapes = _array(stream.escapes, "<i4", int(escaped.sum()))
    shift = shifts(contexts)
    low = _unpack_bits(stream.spare, np.where(escaped, 0, shift))
    values = ((symbols - REACH) << shift) + low
    values[escaped] = escapes
    return values


def _decode(slot: Ints, frequencies: NDArray[np.uint16], states: NDArray[np.uint64], words: NDArray[np.uint64]) -> Ints:
    lookup = np.array([np.repeat(np.arange(ALPHABET), row) for row in frequencies], np.uint8).reshape(-1, TOTAL)
    wide, starts = frequencies.astype(np.uint64), _starts(frequencies)
    symbols = np.empty(len(slot), np.int64)
    lanes, taken = len(states), 0
    mask, low = np.uint64(TOTAL - 1), np.uint64(LOW)
    for at in range(0, len(slot), lanes):
        row = slot[at : at + lanes]
        state = states[: len(row)]
        rest = state & mask
        symbol = lookup[row, rest]
        symbols[at : at + lanes] = symbol
        state[:] = wide[row, symbol] * (state >> np.uint64(LOG_TOTAL)) + rest - starts[row, symbol]
        short = np.flatnonzero(state < low)
        if taken + len(short) > len(words):
            raise DeltaError("coded values end too early")
        state[short] = (state[short] << np.uint64(16)) | words[taken : taken + len(short)]
        taken += len(short)
    if taken != len(words) or (states != low).any():
        raise DeltaError("coded values do not end where they must")
    return symbols
