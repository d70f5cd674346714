"""What the demo's nodes watch: given videos, else real sample video, else the synthetic street."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from central.commands.common import CommandError
from edge.sources import SourceError, open_source
from protocols import files

NODES: Final = ("north", "south")
STREETS: Final = ("street:seed=3,hour=15,fps=10", "street:seed=8,hour=19,fps=10")
"""What a node watches where there is no video: two different cameras, by day and at dusk."""
SAMPLES_ENV: Final = "WAYSIDE_SAMPLES"
"""Folder of sample videos, where somebody has one."""
DOWNLOAD_S: Final = 60.0
MAX_DOWNLOAD: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """A public video (CC BY 4.0, intel-iot-devkit/sample-videos): what it may be called here, its place, its hash."""

    camera: str
    names: tuple[str, ...]
    url: str
    sha256: str
    known: bool = True
    """Whether the base pack was trained for such places, so that its confident proposals can stand for labels."""


_REPOSITORY: Final = "https://github.com/intel-iot-devkit/sample-videos/raw/master"
SAMPLES: Final = (
    Sample(
        "carpark", ("carpark.mp4", "car-detection.mp4"), f"{_REPOSITORY}/car-detection.mp4",
        "d31e0ebf194cc16e50eea784e7c3b0b1bb7976a4fb9b3fec26cb92a6704cca34",
    ),
    Sample(
        "corridor", ("corridor.mp4", "people-detection.mp4"), f"{_REPOSITORY}/people-detection.mp4",
        "a5964aa259099a482a8b360ffc2c57b5a30f84d5919236a4dad01f8e929ac07c", known=False,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A camera of a node."""

    node: str
    camera: str
    source: str


def camera_name(source: str, taken: Sequence[str] = ()) -> str:
    """Return a name for the camera at `source`, made of what is readable in it, and not in `taken`."""
    if source.startswith("street:"):
        source = "street"
    stem = re.sub(r"^[a-z]+://([^@/]*@)?", "", source).rstrip("/")
    stem = Path(stem.split("?")[0]).stem or "camera"
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:40] or "camera"
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def check(source: str) -> None:
    """Raise CommandError unless `source` is a stream, or a file or folder with at least one readable image."""
    if "://" in source or source.isdigit():
        return
    if not source.startswith("street:") and not Path(source).exists():
        raise CommandError(f"{source}: no such file or folder; give a video, a folder of images or an rtsp:// URL")
    try:
        opened = open_source(source, "check")
        try:
            if next(opened.frames(), None) is None:
                raise CommandError(f"{source}: there is no frame in it; give another video")
        finally:
            opened.close()
    except SourceError as error:
        raise CommandError(str(error)) from None


def split(video: str) -> list[str]:
    """Return the sources in `video`, a comma-separated list; the options of a synthetic street stay with it."""
    sources: list[str] = []
    for part in filter(None, (part.strip() for part in video.split(","))):
        if sources and sources[-1].startswith("street:") and re.fullmatch(r"[a-z]+=[^/]*", part):
            sources[-1] += f",{part}"
        else:
            sources.append(part)
    return sources


def given(video: str) -> list[Watched]:
    """Return the cameras in `video`, a comma-separated list, in turn on both nodes. One video is watched by both.

    Raises CommandError.
    """
    sources = split(video)
    if not sources:
        raise CommandError(f"--video {video!r}: names no camera; give paths or URLs, separated by commas")
    for source in sources:
        check(source)
    found: list[Watched] = []
    for i, source in enumerate(sources if len(sources) > 1 else sources * len(NODES)):
        node = NODES[i % len(NODES)]
        taken = [w.camera for w in found if w.node == node]
        absolute = str(Path(source).absolute()) if Path(source).exists() else source
        found.append(Watched(node, camera_name(source, taken), absolute))
    return found


def _places(root: Path) -> list[Path]:
    said = os.environ.get(SAMPLES_ENV)
    return [Path(said)] if said else [root / "samples", root.parent / "shared" / "data" / "video"]


def _whole(path: Path, sample: Sample) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sample.sha256
    except OSError:
        return False


def _download(sample: Sample, path: Path, say: Callable[[str], None]) -> bool:
    say(f"fetching the sample video {sample.names[1]}")
    data = bytearray()
    try:
        with httpx.stream("GET", sample.url, follow_redirects=True, timeout=DOWNLOAD_S) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > MAX_DOWNLOAD:
                    return False
    except httpx.HTTPError:
        say("it cannot be had here")
        return False
    if hashlib.sha256(data).hexdigest() != sample.sha256:
        say("it is not the video that was expected; not used")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, bytes(data))
    return True


def samples(cache: Path, say: Callable[[str], None], reviewed: bool = True) -> list[Watched]:
    """Return a camera per node: sample video from this machine or the public repository, else the synthetic street.

    Where nobody reviews, only places that the base pack knows: elsewhere it would confirm its own mistakes.
    """
    root = Path(__file__).parents[2]
    found: list[Watched] = []
    online = True
    for node, sample, street in zip(NODES, SAMPLES, STREETS, strict=True):
        if not (reviewed or sample.known):
            found.append(Watched(node, "street", street))
            continue
        own = [folder / name for folder in (*_places(root), cache) for name in sample.names]
        path = next((p for p in own if _whole(p, sample)), None)
        if path is None and online:
            path = cache / sample.names[0]
            online = _download(sample, path, say)
            path = path if online else None
        found.append(Watched(node, sample.camera, str(path)) if path else Watched(node, "street", street))
    return found
