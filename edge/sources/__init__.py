"""Where frames come from: one file per kind of camera.

A source delivers frames in order, one at a time, on the caller's thread. `agent` and `edge.sources.reader` give each
camera a thread of its own, reconnect, and keep only the newest frame.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protocols import slots

Image = NDArray[np.uint8]
"""``[H, W, 3]``, BGR, 0..255."""


class SourceError(Exception):
    """A camera that cannot be opened or went away. The text says which, why, and what to do."""


def frame_id(now: datetime) -> str:
    """Return a UUIDv7 (RFC 9562) for a frame captured at `now`: sortable by capture time."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True)
class Frame:
    """One image of one camera.

    `index` counts the frames that the source delivered since it was opened; `monotonic` is `time.monotonic` at
    capture, the clock that every duration is measured with; `name` is the file a folder frame came from.
    """

    image: Image
    camera: str
    time: datetime
    id: str
    index: int
    monotonic: float
    name: str = ""

    @classmethod
    def now(cls, image: Image, camera: str, index: int, name: str = "", at: datetime | None = None) -> Frame:
        """Return a frame captured at `at` (default: now), with a fresh id."""
        moment = at or datetime.now(UTC)
        return cls(image, camera, moment, frame_id(moment), index, time.monotonic(), name)


class Source(Protocol):
    """An opened camera. Iterating yields frames until the source ends; `close` may be called from another thread."""

    live: bool
    """True where frames come in real time and a slow reader must skip; False for files read as fast as possible."""
    rate: float | None
    """Frames per second that the source claims, where it does."""

    def frames(self) -> Iterator[Frame]:
        """Yield frames in order. Raises SourceError when the camera goes away."""
        ...

    def close(self) -> None:
        """Release the camera. Safe to call twice."""
        ...


class Kind(Protocol):
    """A member of this family: recognises a source string and opens it."""

    name: str

    def matches(self, source: str) -> bool:
        """Say whether `source` is one of this kind."""
        ...

    def open(self, source: str, camera: str, **options: Any) -> Source:
        """Open `source`. Options: ``fps`` (float, pace or thin to this rate), ``paced`` (bool, files in real time),
        ``loop`` (bool, start again at the end), ``seed`` (int). Raises SourceError."""
        ...


def kinds() -> dict[str, Kind]:
    """Return every kind of source by name."""
    return slots.members("edge.sources", "SOURCE")


def open_source(source: str, camera: str, **options: Any) -> Source:
    """Open `source` (``rtsp://``, ``http://``, a video file, a folder of images, a device index or ``/dev/videoN``,
    ``street:`` for the synthetic street). Raises SourceError where nothing recognises it or it cannot be opened."""
    for kind in kinds().values():
        if kind.matches(source):
            return kind.open(source, camera, **options)
    raise SourceError(f"{source}: not a camera; give an RTSP or HTTP URL, a video file, a folder of images, a device number or 'street:'")
