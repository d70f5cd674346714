"""Where frames come from: one file per kind of camera.

A source delivers frames in order, one at a time, on the caller's thread. `agent` and `edge.sources.reader` give each
camera a thread of its own, reconnect, and keep only the newest frame.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from protocols import slots

Image = NDArray[np.uint8]
"""``[H, W, 3]``, BGR, 0..255."""


HARMLESS_QUERY = frozenset({"channel", "subtype", "stream", "profile", "resolution", "fps"})
"""Parts of a camera's address whose values may be shown; every other value may be a secret."""
SECRET_IN_PATH = re.compile(r"(?i)\b((?:user(?:name)?|pass(?:word|wd)?|pwd|token|key|auth|secret)=)[^&/;?]*")
"""Some recorders want the password in the path: ``/user=admin&password=...&channel=1.sdp``."""


class SourceError(Exception):
    """A camera that cannot be opened or went away. The text says which, why, and what to do.

    `lasting` says that trying again cannot help (a missing file), so nobody should."""

    def __init__(self, text: str, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


def public_name(source: str) -> str:
    """Return `source` as it may be shown and sent: without user, password or any token in it."""
    scheme, mark, rest = source.partition("://")
    if not mark:
        return source
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and "@" in rest and not re.fullmatch(r"[^:]*(:\d*)?|\[.*\](:\d*)?", authority):
        rest = rest.rpartition("@")[2]  # a password with an unescaped '/', '?' or '#'
    try:
        parts = urlsplit(f"{scheme}://{rest}")
    except ValueError:
        return f"{scheme}://(unreadable address)"
    query = "&".join(_shown(item) for item in parts.query.split("&") if item)
    path = SECRET_IN_PATH.sub(r"\1***", parts.path)
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{path}{'?' + query if query else ''}"


def _shown(item: str) -> str:
    key, mark, _ = item.partition("=")
    return item if key.lower() in HARMLESS_QUERY else key + (mark and "=***")


def frame_id(now: datetime) -> str:
    """Return a UUIDv7 (RFC 9562) for a frame captured at `now`: sortable by capture time."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True)
class Frame:
    """One image of one camera.

    `index` is the place of the frame in its source, from 0: of a recording or folder, the same at every pass of a
    loop; of a live camera, the count since it was opened; `monotonic` is `time.monotonic` at capture, the clock that
    every duration is measured with; `name` is the file a folder frame came from.
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
    recorded: bool
    """True where the source can stand still (file, folder, synthetic street): it waits while paused, and its end is
    the end. Others are closed while paused, and opened again when they go away."""

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
    known = "an RTSP or HTTP URL, a video file, a folder of images, a device number or 'street:'"
    raise SourceError(f"{public_name(source)}: no such file, folder or camera; give {known}", lasting=True)
