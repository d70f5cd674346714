"""One camera's way through the node: mask, infer, assess, decide; and, for what is kept, redact and encode.

    frame -> masked image -> Inference -> Assessment -> Selection      on the worker's thread: `Camera.watch`
                                                          |
                                                          `-> Kept -> FrameMessage      on the writer's: `to_message`

The rooms that do the work are reached through four small protocols, so that any of them can be replaced.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from edge.alerts import Alerts, Patience
from edge.assess.health import Health
from edge.metrics import CameraState, Meter
from edge.runtime import Inference
from edge.select import Selector
from edge.select.history import Spent
from edge.sources import Frame
from edge.update import Runner
from protocols.messages import (
    MAX_DETECTIONS,
    Assessment,
    Box,
    CameraInfo,
    Detection,
    FrameMessage,
    Policy,
    Redaction,
    Selection,
)

log = structlog.get_logger("edge.camera")

Image = NDArray[np.uint8]
THUMBNAIL_WIDTH: Final = 320
"""Pixels; a list of cameras needs no more, and a reply stays under 40 KB."""
THUMBNAIL_QUALITY: Final = 80
MAX_EMBEDDING: Final = 1024
AUDIT_VALUE: Final = 100.0
"""Value in the spool of a frame of the audit share: above all others, as losing them would bias what they estimate."""
AUDIT_REASON: Final = "uniform audit"
MAX_SCORE: Final = 10.0
LEAST_QUALITY: Final = 10
QUALITY_STEP: Final = 15
"""By how much the JPEG quality goes down for a frame that weighs more than its quota has left."""
MAX_LEFT: Final = 3
"""Threads of one camera that may hang in a driver before no further one is begun."""


class ReaderLike(Protocol):
    """`edge.sources.reader.Reader`, as the node uses it."""

    state: CameraState
    detail: str
    dropped: int
    public_source: str

    @property
    def over(self) -> bool:
        """Whether no further frame will come."""
        ...

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        ...

    def stalled(self, now: float) -> bool:
        """Say whether its thread hangs, so that only another reader can help."""
        ...

    def start(self) -> None:
        """Begin to watch."""
        ...

    def get(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None."""
        ...

    def pause(self) -> None:
        """Stop watching for now."""
        ...

    def resume(self) -> None:
        """Watch again."""
        ...

    def close(self) -> None:
        """Stop for good."""
        ...


class AssessorLike(Protocol):
    """All scores of one camera."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Assessment:
        """Return what the scores say."""
        ...

    def selected(self, inference: Inference) -> None:
        """Note that the frame just assessed is kept."""
        ...


class RedactorLike(Protocol):
    """What one camera hides."""

    problem: str
    """Why nothing may be written; empty where all is well."""

    def expect(self, labels: tuple[str, ...]) -> None:
        """Take note that detections will have `labels` from now on."""
        ...

    def mask(self, image: Image) -> Image:
        """Return `image` with the masks filled; the same array where there are none."""
        ...

    def hide(self, image: Image, detections: list[Detection]) -> tuple[Image, list[Redaction]]:
        """Return masked `image` with the regions of secret labels hidden, and the record of all that is hidden."""
        ...


@dataclass(frozen=True)
class Parts:
    """What makes one camera's parts."""

    reader: Callable[[], ReaderLike]
    assessor: Callable[[Runner], AssessorLike]
    redactor: RedactorLike
    selector: Callable[[Policy], Selector]


@dataclass(frozen=True)
class Kept:
    """A frame on its way to the spool."""

    camera: Camera
    frame: Frame
    detections: list[Detection]
    embedding: list[float] | None
    assessment: Assessment
    selection: Selection
    pack: str
    quality: int
    most_bytes: int | None = None
    """What its JPEG may weigh; None where no quota counts bytes."""
    settle: Callable[[int], None] = lambda size: None
    """Tells the quota what the JPEG weighed, 0 where the frame was lost. Once for each frame."""


@dataclass(frozen=True)
class Origin:
    """What the node adds to each frame."""

    node: str
    site: str
    boot: str


class Camera:
    """One camera of the node."""

    def __init__(
        self,
        name: str,
        parts: Parts,
        policy: Policy,
        tags: Sequence[str] = (),
        place: tuple[float, float] | None = None,
    ) -> None:
        self.name, self.tags, self.place, self.meter = name, tuple(tags), place, Meter()
        self.reader = parts.reader()
        self.policy = policy
        self.counts: dict[str, int] = {}
        """Most objects of each label in one frame since the last event."""
        self.alerts, self.away = Alerts(), Patience()
        self.health = Health()
        self._left: list[ReaderLike] = []
        """Readers that were closed, but whose threads hang."""
        self._restarting = threading.Lock()
        self._parts, self._selector = parts, parts.selector(policy)
        self._assessor: AssessorLike | None = None
        self._latest: tuple[Image, list[Detection]] | None = None
        self._size = (0, 0)

    def info(self) -> CameraInfo:
        """Return the camera as the node's status shows it."""
        width, height = self._size
        source, tags = self.reader.public_source[:2000], list(self.tags)
        north, east = self.place or (None, None)
        return CameraInfo(
            camera=self.name, source=source, width=width, height=height, tags=tags, latitude=north, longitude=east
        )

    @property
    def problem(self) -> str:
        """Why no frame of this camera may be kept; empty where all is well."""
        return self._parts.redactor.problem

    def check(self, policy: Policy) -> None:
        """Raise SlotError where there is no such policy."""
        self._parts.selector(policy)

    def use(self, policy: Policy) -> None:
        """Select by `policy` from now on. Raises SlotError where there is no such policy."""
        if policy != self.policy:
            selector = self._parts.selector(policy)
            selector.follow(self._selector)
            self._selector, self.policy = selector, policy

    def resume(self, rows: Sequence[Spent], now: float) -> None:
        """Go on with the quotas where the node left off before it was started: `rows` is what this camera kept."""
        self._selector.quota.restore(rows, now)

    def restart(self) -> bool:
        """Close the camera and connect anew; False where too many of its threads hang already."""
        with self._restarting:
            self._left = [reader for reader in self._left if reader.alive]
            if len(self._left) >= MAX_LEFT:
                return False
            old, self.reader = self.reader, self._parts.reader()
            self.reader.dropped = old.dropped
            old.close()
            if old.alive:
                self._left.append(old)
            self.reader.start()
        return True

    def forget(self) -> None:
        """Start the scores anew: the model changed."""
        self._assessor = None

    def watch(self, frame: Frame, runner: Runner) -> tuple[Image, Kept | None]:
        """Assess `frame` with `runner`. Returns the masked image, and the frame where it is to be kept."""
        image = self._parts.redactor.mask(frame.image)
        if image is not frame.image:
            frame = replace(frame, image=image)
        inference = runner.infer(image)
        self.health.see(image, frame.monotonic, inference.picture)
        detections = to_detections(inference, runner.labels)
        self._latest, self._size = (image, detections), (image.shape[1], image.shape[0])
        if self._assessor is None:
            self._assessor = self._parts.assessor(runner)
            self._parts.redactor.expect(runner.labels)
        assessment = self._assessor.assess(frame, inference, runner.labels)
        selector = self._selector
        selection = selector.decide(assessment, frame.monotonic, inference)
        self.meter.assessed(time.monotonic() - frame.monotonic, assessment.blur, assessment.uncertainty)
        self._count(detections)
        if not selection.keep:
            return image, None
        if self.problem:
            selector.settle(0)
            return image, None
        self._assessor.selected(inference)
        embedding = inference.embedding
        numbers = None if embedding is None or len(embedding) > MAX_EMBEDDING else [float(v) for v in embedding]
        return image, Kept(
            self, frame, detections, numbers, assessment, selection, runner.pack.address, self.policy.jpeg_quality,
            selector.most_bytes(), selector.settle,
        )  # fmt: skip

    def _count(self, detections: list[Detection]) -> None:
        seen: dict[str, int] = {}
        for detection in detections:
            seen[detection.label] = seen.get(detection.label, 0) + 1
        self.counts = {label: max(seen.get(label, 0), self.counts.get(label, 0)) for label in {*seen, *self.counts}}

    def redact(self, image: Image, detections: list[Detection]) -> tuple[Image, list[Redaction]]:
        """Return masked `image` with the regions hidden, and the record."""
        return self._parts.redactor.hide(image, detections)

    def thumbnail(self) -> bytes | None:
        """Return the latest frame as a small redacted JPEG, or None where there was none yet."""
        latest = self._latest
        if latest is None:
            return None
        image, _ = self.redact(*latest)
        height, width = image.shape[:2]
        if width > THUMBNAIL_WIDTH:
            size = (THUMBNAIL_WIDTH, max(1, round(height * THUMBNAIL_WIDTH / width)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return encode_jpeg(image, THUMBNAIL_QUALITY)


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Return BGR `image` as JPEG of `quality` 10..100."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"an image of {image.shape} cannot be encoded")
    return bytes(data.tobytes())


def encode_within(image: Image, quality: int, most: int | None) -> bytes:
    """Return BGR `image` as JPEG of `quality` 10..100, or of a lower one where it weighs more than `most` bytes.

    Raises ValueError where even the lowest does not do."""
    data = encode_jpeg(image, quality)
    while most is not None and len(data) > most:
        if quality <= LEAST_QUALITY:
            raise ValueError(f"a frame weighs {len(data)} bytes at least, more than the quota's {most}")
        quality = max(LEAST_QUALITY, quality - QUALITY_STEP)
        data = encode_jpeg(image, quality)
    return data


def to_detections(inference: Inference, labels: tuple[str, ...]) -> list[Detection]:
    """Return the detections of `inference` as they travel, best first, at most MAX_DETECTIONS."""
    found = inference.detections
    if not len(found):
        return []
    boxes, scores = rows(found.boxes), np.clip(found.scores[:MAX_DETECTIONS], 0.0, 1.0).tolist()
    spreads = [None] * len(boxes) if found.spread is None else rows(found.spread)
    blurs = [None] * len(boxes) if found.blur is None else found.blur[:MAX_DETECTIONS].tolist()
    return [
        Detection(box=box, label=labels[kind], score=score, spread=spread, blur=blur)
        for box, kind, score, spread, blur in zip(
            boxes, found.classes[:MAX_DETECTIONS].tolist(), scores, spreads, blurs, strict=True
        )
    ]


def rows(values: NDArray[Any]) -> list[Box]:
    """Return the first MAX_DETECTIONS rows of ``[N, 4]``, to hundredths of a pixel."""
    return [(a, b, c, d) for a, b, c, d in np.round(values[:MAX_DETECTIONS].astype(np.float64), 2).tolist()]


def to_message(kept: Kept, origin: Origin, sequence: int) -> FrameMessage:
    """Redact and encode a kept frame into the message that is spooled."""
    image, redactions = kept.camera.redact(kept.frame.image, kept.detections)
    data = encode_within(image, kept.quality, kept.most_bytes)
    return FrameMessage(
        id=kept.frame.id, node=origin.node, boot=origin.boot, sequence=sequence, camera=kept.camera.name,
        name=kept.frame.name, index=kept.frame.index, site=origin.site, time=kept.frame.time,
        width=image.shape[1], height=image.shape[0], pack=kept.pack,
        assessment=kept.assessment, selection=kept.selection, detections=kept.detections,
        redactions=redactions[:MAX_DETECTIONS], embedding=kept.embedding,
        sha256=hashlib.sha256(data).hexdigest(), image=data,
    )  # fmt: skip


def value_of(assessment: Assessment, selection: Selection) -> float:
    """Return what a kept frame is worth in the spool: that of its most speaking score; audit frames come first."""
    if selection.reason == AUDIT_REASON:
        return AUDIT_VALUE
    scores = (assessment.uncertainty, assessment.inconsistency, assessment.unexplained_motion, assessment.novelty)
    return max((min(MAX_SCORE, max(0.0, s)) for s in scores if s is not None), default=0.0)
