"""Video files: paced in real time, or as fast as possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from edge.sources import Source, SourceError
from edge.sources.recording import Recording, why

CONTAINERS = ".mp4 .m4v .mov .avi .mkv .webm .ts .m2ts .mts .mpg .mpeg .flv .wmv .3gp .ogv .gif"
BARE = ".h264 .h265 .264 .265 .mjpeg .mjpg"
SUFFIXES = frozenset(f"{CONTAINERS} {BARE}".split())
"""What looks like a video where the file itself is missing; an existing file is simply tried."""


def is_file(source: str) -> bool:
    """Say whether `source` is the path of a file; never raises."""
    try:
        return Path(source).is_file()
    except (OSError, ValueError):
        return False


def open_file(source: str) -> InputContainer:
    """Open the video file `source`. Raises SourceError."""
    if not is_file(source):
        raise SourceError(f"{source}: no such file", lasting=True)
    try:
        container = av.open(source, mode="r")
    except PermissionError as error:
        raise SourceError(f"{source}: not readable by this user", lasting=True) from error
    except av.FFmpegError as error:
        raise SourceError(f"{source}: not a video, or damaged at its start: {why(error)}", lasting=True) from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"{source}: there is no video in this file", lasting=True)
    return container


class FileKind:
    """The member of `edge.sources` for video files."""

    name = "file"

    def matches(self, source: str) -> bool:
        """True for an existing file, and for a path that looks like a video so that the error says it is missing."""
        return (
            "://" not in source
            and (is_file(source) or Path(source).suffix.lower() in SUFFIXES)
            and not source.endswith("/")
        )

    def open(self, source: str, camera: str, **options: Any) -> Source:
        """Open the file. Options: ``fps`` (thin to), ``paced``, ``loop``. Raises SourceError."""
        fps, paced, loop = options.get("fps"), bool(options.get("paced")), bool(options.get("loop"))
        return Recording(lambda: open_file(source), source, camera, fps, paced, loop)


SOURCE = FileKind()
