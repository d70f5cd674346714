"""Unlabelled frames: which there are, of which camera, when, and which of them say nothing new.

    folders, COCO files, videos, a centre -> Shots -> without near-identical ones -> Stock

Frames are read one at a time, when they are needed. A stock knows nothing of batches; `stream` draws from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from central.learn.data import Pixels

MAX_GAP: Final = 2.0
"""Seconds: frames of a clip that lie farther apart show another scene, unless a pretext wants them as far apart."""
EARLY: Final = 0.75
"""A frame of a clip may come so much of the wanted pace after the one before, not sooner."""


class MaterialError(ValueError):
    """Frames that cannot be learned from. The text says which, why, and what to do."""


class Reader(Protocol):
    """Where pictures come from; must survive being sent to another process."""

    def read(self, key: str) -> Pixels | None:
        """Return the picture called `key`, BGR; None where it is missing or damaged."""
        ...

    def small(self, key: str) -> Pixels | None:
        """Return a small version of it, as cheaply as it can be had: grey ``[h, w]``; None as above."""
        ...


class Shot(NamedTuple):
    """One frame, not yet read."""

    reader: int
    """Index into `Stock.readers`."""
    key: str
    camera: int
    """Index into `Stock.cameras`."""
    time: float
    """Seconds on the camera's own clock; NaN where its frames are mere samples, in no order."""
    right: str = ""
    """What the right camera of a rectified pair saw then."""


@dataclass
class Stock:
    """All frames of a run; the `Material` of pretexts."""

    readers: tuple[Reader, ...]
    shots: list[Shot]
    cameras: tuple[str, ...]
    kept: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Indices of the frames to learn from, ascending: no two of one camera are near-identical."""
    unread: tuple[int, ...] = ()
    """Indices of frames that could not be read; none is among `kept`."""
    rigs: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Per reader of rectified pairs: focal length as a share of the picture's width, baseline in metres."""
    moving: frozenset[int] = frozenset()
    """Cameras that are not fixed, as far as anybody said so."""

    def __post_init__(self) -> None:
        if not len(self.kept):
            self.kept = np.arange(len(self.shots))
        self._rows: dict[int, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_rows": {}}

    @property
    def dropped(self) -> int:
        """How many frames were left out as near-identical to others of their cameras."""
        return len(self.shots) - len(self.kept) - len(self.unread)

    def read(self, index: int) -> Pixels | None:
        """Return the frame `index`, BGR; None where it cannot be read."""
        shot = self.shots[index]
        return self.readers[shot.reader].read(shot.key)

    def right(self, index: int) -> Pixels | None:
        """Return what the right camera saw; None where there is none."""
        shot = self.shots[index]
        return self.readers[shot.reader].read(shot.right) if shot.right else None

    def row(self, camera: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return times and indices of the frames of `camera` in the order of time; none where they have no times."""
        if camera not in self._rows:
            bad = set(self.unread)
            own = [(s.time, i) for i, s in enumerate(self.shots) if s.camera == camera and i not in bad]
            own = sorted(t for t in own if not math.isnan(t[0]))
            times = np.array([t for t, _ in own])
            self._rows[camera] = times, np.array([i for _, i in own], np.int64)
        return self._rows[camera]

    def sequence(self, index: int, frames: int, pace: float) -> list[int] | None:
        """Return `frames` indices from `index` on, about `pace` seconds apart (0: one after the other); None where the
        camera has too few, or they are too far apart to show one scene."""
        shot = self.shots[index]
        if math.isnan(shot.time):
            return None
        times, indices = self.row(shot.camera)
        at = int(np.searchsorted(times, shot.time))
        while at < len(indices) and indices[at] != index:
            at += 1
        found = [at]
        while len(found) < frames:
            wanted = times[found[-1]] + pace
            after = int(np.searchsorted(times, wanted))
            if after and (after == len(times) or wanted - times[after - 1] < times[after] - wanted):
                after -= 1
            after = max(found[-1] + 1, after)
            if after >= len(times) or not EARLY * pace <= times[after] - times[found[-1]] <= max(MAX_GAP, 2 * pace):
                return None
            found.append(after)
        return [int(i) for i in indices[found]]

    def clips(self, count: int, frames: int, pace: float) -> list[list[Pixels]]:
        """Return up to `count` clips, spread over the material, each of `frames` BGR frames in the order of time."""
        found: list[list[Pixels]] = []
        step = max(1, len(self.kept) // max(1, 4 * count))
        starts = [s for s in (self.sequence(int(i), frames, pace) for i in self.kept[::step]) if s is not None]
        for start in starts[:: max(1, len(starts) // max(1, count))]:
            clip = [image for image in map(self.read, start) if image is not None]
            if len(clip) == frames and len({image.shape for image in clip}) == 1:
                found.append(clip)
            if len(found) == count:
                break
        return found

    def about(self) -> dict[str, object]:
        """Return what there is, in numbers."""
        return {
            "frames": len(self.shots), "cameras": len(self.cameras), "kept": len(self.kept),
            "near_identical": self.dropped, "unread": len(self.unread),
        }  # fmt: skip


def joined(parts: Sequence[Stock]) -> Stock:
    """Return the frames of all `parts` as one stock; cameras of the same name are one. Raises MaterialError."""
    readers: list[Reader] = []
    shots: list[Shot] = []
    cameras: dict[str, int] = {}
    rigs: dict[int, tuple[float, float]] = {}
    moving: set[int] = set()
    for part in parts:
        number = [cameras.setdefault(name, len(cameras)) for name in part.cameras]
        rigs |= {reader + len(readers): rig for reader, rig in part.rigs.items()}
        moving |= {number[camera] for camera in part.moving}
        shots += [s._replace(reader=s.reader + len(readers), camera=number[s.camera]) for s in part.shots]
        readers += part.readers
    if not shots:
        raise MaterialError("there is no frame to learn from; give --images, --coco, --video or --data")
    return Stock(tuple(readers), shots, tuple(cameras), rigs=rigs, moving=frozenset(moving))
