"""Boxes of what may be an object, without labels: from motion, from a detector, from the picture itself.

    Stock -> the first of the wanted sources that finds any on a frame -> tracks, where frames have times -> Boxes

Each source is one file that binds ``BOXES``. What was found is kept in the run folder, so that a resumed run sees the
same.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from central.learn.ssl.boxes.tracks import link
from central.learn.ssl.material import MaterialError, Stock
from protocols import files, slots

SLOT: Final = "central.learn.ssl.boxes"
ATTRIBUTE: Final = "BOXES"
FILE: Final = "boxes.npz"
VERSION: Final = "2"
"""Of what is kept: what an earlier one found is found again."""
MOST: Final = 24
"""Boxes of one frame; a view takes a handful of them."""
DEFAULT: Final = ("motion", "proposals")
"""Motion where a camera stands still; else what looks like a thing."""

Found = dict[int, NDArray[np.float32]]
"""Frame -> boxes ``[N, 4]`` xyxy as shares 0..1 of its width and height, the best first."""
Report = Callable[[int], None]


class Wish(NamedTuple):
    """What sources may need beyond the frames."""

    pack: str = "base"
    """A detector: file, folder or name of a pack."""


ANYTHING: Final = Wish()


class BoxSource(Protocol):
    """A member of this folder."""

    name: str
    certain: bool
    """Whether a box of it is most likely one whole thing, rather than a guess at what may be one."""

    def find(self, stock: Stock, frames: Sequence[int], wish: Wish, report: Report) -> Found:
        """Return the boxes on `frames` (indices into `stock`); a frame that it can say nothing of is left out.

        `report` is told how many frames are done. Raises MaterialError.
        """
        ...


class Boxes(NamedTuple):
    """All boxes of a stock."""

    corners: NDArray[np.float32]
    """``[M, 4]`` xyxy as shares 0..1."""
    tracks: NDArray[np.int64]
    """``[M]``; boxes of one track are the same thing, -1: of no track."""
    starts: NDArray[np.int64]
    """``[N + 1]``: those of frame i are ``starts[i]:starts[i + 1]``."""
    certain: NDArray[np.bool_]
    """``[N]``: frames whose boxes are of a source that mostly finds whole things."""

    def of(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return boxes and tracks of `frame`."""
        own = slice(int(self.starts[frame]), int(self.starts[frame + 1]))
        return self.corners[own], self.tracks[own]


def find(name: str) -> BoxSource:
    """Return the source called `name`. Raises MaterialError, naming those that there are."""
    try:
        return slots.member(SLOT, ATTRIBUTE, name)  # type: ignore[no-any-return]
    except slots.SlotError as error:
        raise MaterialError(str(error)) from None


def wanted(stock: Stock) -> list[int]:
    """Return the frames whose boxes count: those to learn from, and those that tracks go through."""
    timed = {i for i, shot in enumerate(stock.shots) if shot.time == shot.time}
    return sorted((timed - set(stock.unread)) | {int(i) for i in stock.kept})


def gather(stock: Stock, sources: Sequence[str], wish: Wish = ANYTHING, report: Report = lambda _: None) -> Boxes:
    """Return the boxes of `stock`, on each frame those of the first source that finds any. Raises MaterialError."""
    left = wanted(stock)
    found: Found = {}
    certain: list[int] = []
    for source in [find(name) for name in sources]:
        own = source.find(stock, left, wish, report)
        found |= {frame: boxes[:MOST] for frame, boxes in own.items() if len(boxes)}
        certain += [frame for frame, boxes in own.items() if source.certain and len(boxes)]
        left = [frame for frame in left if frame not in found]
    return packed(stock, found, certain)


def packed(stock: Stock, found: Found, certain: Sequence[int] = ()) -> Boxes:
    """Return `found` as `Boxes`, with tracks; `certain`: frames whose boxes are whole things."""
    none = np.zeros((0, 4), np.float32)
    rows = [found.get(frame, none) for frame in range(len(stock.shots))]
    starts = np.concatenate(([0], np.cumsum([len(r) for r in rows]))).astype(np.int64)
    tracks = np.full(int(starts[-1]), -1, np.int64)
    following = 0
    for camera in range(len(stock.cameras)):
        times, frames = stock.row(camera)
        own, following = link(times, [rows[int(f)] for f in frames], following)
        for frame, numbers in zip(frames, own, strict=True):
            tracks[starts[frame] : starts[frame + 1]] = numbers
    sure = np.zeros(len(rows), bool)
    sure[list(certain)] = True
    return Boxes(np.concatenate(rows).astype(np.float32).reshape(-1, 4), tracks, starts, sure)


def fingerprint(stock: Stock, sources: Sequence[str], wish: Wish) -> str:
    """Return what tells one question to `gather` from another."""
    said = [VERSION, *sources, wish.pack, *(f"{s.reader} {s.key} {s.camera} {s.time}" for s in stock.shots)]
    return hashlib.sha256("\n".join([*said, *map(str, stock.kept)]).encode()).hexdigest()


def cached(
    stock: Stock, sources: Sequence[str], folder: Path, wish: Wish = ANYTHING, report: Report = lambda _: None
) -> Boxes:
    """Return what `gather` does, kept in `folder`. Raises MaterialError, OSError."""
    path, asked = folder / FILE, fingerprint(stock, sources, wish)
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as kept:
                if str(kept["asked"]) == asked:
                    return Boxes(kept["corners"], kept["tracks"], kept["starts"], kept["certain"])
        except (OSError, ValueError, KeyError):
            pass  # damaged: found again
    boxes = gather(stock, sources, wish, report)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, asked=np.array(asked), **boxes._asdict())
    files.write_atomic(path, buffer.getvalue())
    return boxes


__all__ = [
    "DEFAULT", "BoxSource", "Boxes", "Found", "MaterialError", "Report", "Wish", "cached", "find", "gather", "packed",
    "wanted",
]  # fmt: skip
