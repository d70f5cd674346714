"""Every message that crosses the link, as a typed struct.

    node -> centre   Status, Health, Event, FrameMessage, Fetch, Update, Reply
    centre -> node   Receipt, Policy, Release, Chunk, Command

Rules
- Times are aware UTC datetimes; boxes are ``(x1, y1, x2, y2)`` in pixels of the source frame.
- Identities (node, camera) match ``IDENTITY``; nothing else may appear in a topic level.
- Unknown fields are ignored, so that an older reader understands a newer writer; a field is never
  given a new meaning, it is replaced by a new one.
- Scores are unit-free and grow with what their name says; ``None`` means "not computed", never zero.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

IDENTITY = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""Names of nodes and cameras. Excludes ``+ # /`` so that a name can never widen a subscription."""

SHA256_HEX = r"^[0-9a-f]{64}$"
_END = r"(?!\n)"
"""After ``$``: Python's also matches before a newline at the end."""
MAX_DETECTIONS = 1000
"""Detections in one message; a frame with more is cut to its best ones by the node."""
MAX_ALERTS = 16
"""Standing alerts of one camera; there are not that many kinds."""
MAX_CAMERA_TAGS = 16
"""Tags of one camera in its node's configuration."""
MAX_SHARED = 64
"""Cameras whose share of a node's quotas a policy may change; more than any node watches."""
MOST_SHARE = 16.0
"""Greatest factor of a camera's quotas: all that a node of sixteen cameras may select."""
MAX_SHADOWED = 64
"""Cameras in one report of a shadow run; more than any node watches."""
MAX_LABEL = 64
MAX_TEXT = 2000
"""Characters of any free text (reasons, errors)."""

Identity = Annotated[str, Meta(pattern=IDENTITY + _END, max_length=64)]
Digest = Annotated[str, Meta(pattern=SHA256_HEX + _END)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Label = Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)]
FrameId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$" + _END)]
Box = tuple[float, float, float, float]

Step = Literal[
    "announced", "fetching", "verifying", "applying", "building", "checking", "shadowing",
    "committed", "rolled-back",
]  # fmt: skip
"""Steps of an update. The last two are terminal."""


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every message: immutable, keyword-only, small on the wire."""


class Detection(Message, frozen=True, kw_only=True):
    """One object seen in one frame."""

    box: Box
    """xyxy, pixels of the source frame."""
    label: Label
    score: Probability
    spread: Box | None = None
    """Standard deviation of each box side, pixels of the source frame, in the order of ``box``."""
    blur: float | None = None
    """Blur rank of the object; higher is blurrier."""


class Assessment(Message, frozen=True, kw_only=True):
    """All that a node computed about a frame. ``reasons`` has one sentence per score that spoke."""

    blur: float | None = None
    uncertainty: float | None = None
    inconsistency: float | None = None
    unexplained_motion: float | None = None
    novelty: float | None = None
    redundancy: float | None = None
    reasons: dict[str, Text] = {}


AUDIT_REASON = "uniform audit"
"""`Selection.reason` of a frame that the uniform audit drew, whatever its scores."""


class Selection(Message, frozen=True, kw_only=True):
    """The decision about a frame, with the probability that it was drawn with."""

    keep: bool
    probability: Probability
    """Of being kept, given all that came before the last ``min_gap_s``: never zero only because of the gap."""
    reason: Text
    policy: Label
    audit: Probability | None = None
    """The part of ``probability`` that the uniform audit alone gives; None where the policy has no audit."""


class Redaction(Message, frozen=True, kw_only=True):
    """What was made unreadable before the frame was written anywhere."""

    kind: Literal["mask", "region"]
    method: Literal["fill", "blur", "pixelate"]
    box: Box


class CameraInfo(Message, frozen=True, kw_only=True):
    """A camera as its node knows it. ``source`` never carries credentials."""

    camera: Identity
    source: Text
    width: Count = 0
    height: Count = 0
    tags: Annotated[list[Label], Meta(max_length=MAX_CAMERA_TAGS)] = []
    """What the node's configuration says of the camera, for rollouts to go by: ``indoor``, ``junction``."""
    latitude: Annotated[float, Meta(ge=-90.0, le=90.0)] | None = None
    longitude: Annotated[float, Meta(ge=-180.0, le=180.0)] | None = None
    """Where the camera stands, degrees WGS 84, north and east positive; both or neither."""


class Status(Message, frozen=True, kw_only=True):
    """Retained presence of a node: birth (online), clean stop, or last will (offline)."""

    state: Literal["online", "stopped", "offline"]
    node: Identity
    boot: Label
    session: Count = 0
    """Number of the connection within the boot, from 1; a last will has that of the connection that it belongs to."""
    time: datetime | None = None
    """Absent in a last will: the broker publishes it at a time that the node cannot know."""
    site: Identity = "default"
    version: Text = ""
    pack: Digest | None = None
    release: Count | None = None
    """Number of the release that ``pack`` came with, if any."""
    backend: Text = ""
    cameras: list[CameraInfo] = []


class CameraHealth(Message, frozen=True, kw_only=True):
    """One camera's share of a health message. Rates are per second over the last interval."""

    camera: Identity
    state: Literal["watching", "connecting", "paused", "ended", "failed"]
    detail: Text = ""
    fps: NonNegative = 0.0
    frames: Count = 0
    """Frames assessed since the node started."""
    selected: Count = 0
    dropped: Count = 0
    """Frames that the camera delivered but a newer one overtook."""
    latency_p50_ms: NonNegative = 0.0
    latency_p95_ms: NonNegative = 0.0
    blur: float | None = None
    uncertainty: float | None = None
    alerts: Annotated[list[Text], Meta(max_length=MAX_ALERTS)] = []
    """What is wrong with this camera now, in words, as ``events`` told when it began."""


class Health(Message, frozen=True, kw_only=True):
    """How a node fares, every thirty seconds."""

    node: Identity
    boot: Label
    time: datetime
    uptime_s: NonNegative
    pack: Digest | None = None
    spool_frames: Count = 0
    spool_bytes: Count = 0
    spool_quota_bytes: Count = 0
    evicted: Count = 0
    """Frames that the spool gave up since it was made, restarts included: for better ones, as too old, or as the disk
    was full."""
    damaged: Count = 0
    """Frames whose record the disk spoiled, since the spool was made."""
    parked: Count = 0
    """Frames that the centre or the broker refused for good, since the spool was made."""
    crashes: Count | None = None
    """Starts of the node that followed no clean stop, since its data folder was made; None where it does not count."""
    sent: Count = 0
    sent_bytes: Count = 0
    temperature_c: float | None = None
    cameras: list[CameraHealth] = []


class Event(Message, frozen=True, kw_only=True):
    """For operators and home automation: object counts and camera-health alerts."""

    node: Identity
    camera: Identity
    time: datetime
    kind: Literal["counts", "alert"]
    counts: dict[str, Count] = {}
    alert: Text = ""
    raised: bool = False


class FrameMessage(Message, frozen=True, kw_only=True):
    """A selected frame on its way to the centre."""

    id: FrameId
    node: Identity
    boot: Label
    sequence: Count
    """Grows by one per spooled frame within one boot."""
    camera: Identity
    name: Text = ""
    """File that the frame came from, where the camera is a folder of images."""
    index: Count = 0
    """Place of the frame in its source, from 0: of a recording or folder, the same at every pass of a loop; of a live
    camera, the count since it was opened."""
    site: Identity = "default"
    time: datetime
    width: Annotated[int, Meta(ge=1, le=16384)]
    height: Annotated[int, Meta(ge=1, le=16384)]
    pack: Digest | None = None
    assessment: Assessment
    selection: Selection
    detections: Annotated[list[Detection], Meta(max_length=MAX_DETECTIONS)] = []
    redactions: Annotated[list[Redaction], Meta(max_length=MAX_DETECTIONS)] = []
    embedding: Annotated[list[float], Meta(max_length=1024)] | None = None
    sha256: Digest
    """Of ``image``."""
    image: bytes
    """JPEG, redacted."""


class Receipt(Message, frozen=True, kw_only=True):
    """Frames that are durably stored: row committed, blob on disk; and those that will never be, with the reason."""

    ids: Annotated[list[FrameId], Meta(max_length=1000)]
    refused: Annotated[dict[FrameId, Text], Meta(max_length=20)] = {}
    """Frames that can never be stored: the node puts them aside and sends them no more."""


class Policy(Message, frozen=True, kw_only=True):
    """What a node should select. Retained; the newest one counts."""

    version: Count
    policy: Label = "budget"
    frames_per_hour: Annotated[float, Meta(ge=0.0, le=3_600_000.0)] = 60.0
    audit_share: Probability = 0.1
    """Share of the quota drawn uniformly, whatever the scores say."""
    min_gap_s: NonNegative = 1.0
    jpeg_quality: Annotated[int, Meta(ge=10, le=100)] = 90
    frames_per_day: Annotated[float, Meta(ge=0.0, le=86_400_000.0)] | None = None
    """Quota per camera in any 24 hours; None: as many as ``frames_per_hour`` allows."""
    bytes_per_hour: Count | None = None
    """Quota of JPEG bytes per camera in any hour; None: no limit."""
    bytes_per_day: Count | None = None
    shares: Annotated[dict[Identity, Annotated[float, Meta(ge=0.0, le=MOST_SHARE)]], Meta(max_length=MAX_SHARED)] = {}
    """Factor of the quotas of single cameras, where the centre wants more of some and less of others for a time; 1
    where a camera is not listed."""


class Release(Message, frozen=True, kw_only=True):
    """The pack that a node should run. Retained; the highest number counts."""

    number: Annotated[int, Meta(ge=1)]
    pack: Digest
    size: Count
    """Bytes of the packed archive."""
    name: Text = ""
    time: datetime
    notes: Text = ""


class Fetch(Message, frozen=True, kw_only=True):
    """A node asks for a part of a file. Answered by ``Chunk`` messages with the same ``request``."""

    request: Label
    name: Annotated[str, Meta(pattern=r"^[a-z]+/[A-Za-z0-9_.-]{1,128}$" + _END)]
    """``packs/<sha256>``, for instance."""
    offset: Count
    length: Annotated[int, Meta(ge=1, le=4 * 1024 * 1024)]


class Chunk(Message, frozen=True, kw_only=True):
    """A part of a file, or the reason why there is none."""

    request: Label
    name: Text
    offset: Count
    total: Count
    data: bytes = b""
    error: Text = ""


class ShadowCamera(Message, frozen=True, kw_only=True):
    """One camera's share of a shadow run. The meanings are those of `Shadow`."""

    camera: Identity
    frames: Count
    agreement: Probability | None = None
    score_shift: Annotated[float, Meta(ge=-1.0, le=1.0)] | None = None
    boxes_before: Count = 0
    boxes_after: Count = 0


class Shadow(Message, frozen=True, kw_only=True):
    """The new pack beside the old one on the same live frames, before it counts. None: nothing to compare."""

    frames: Count
    agreement: Probability | None = None
    """Boxes that both report, as a share of the boxes of both: ``2 matched / (before + after)``, where two boxes match
    by label and an IoU of at least 0.5. None where neither reported any."""
    score_shift: Annotated[float, Meta(ge=-1.0, le=1.0)] | None = None
    """Mean score of the new pack's boxes less that of the old pack's. None where either reported none."""
    boxes_before: Count = 0
    boxes_after: Count = 0
    latency_before_ms: NonNegative | None = None
    """Median time of one inference with the old pack, and with the new one: on the same frames, in turn."""
    latency_after_ms: NonNegative | None = None
    cameras: Annotated[list[ShadowCamera], Meta(max_length=MAX_SHADOWED)] = []


class Update(Message, frozen=True, kw_only=True):
    """One step of an update on a node."""

    node: Identity
    boot: Label
    time: datetime
    release: Annotated[int, Meta(ge=1)]
    pack: Digest
    step: Step
    progress: Probability = 0.0
    reason: Text = ""
    failed: Step | None = None
    """With ``rolled-back``: the step that failed. None where nothing did, as when a newer release overtook it."""
    shadow: Shadow | None = None
    """With ``committed`` and ``rolled-back``: what the shadow run saw, where there was one."""
    starts: Annotated[int, Meta(ge=1)] | None = None
    """With ``committed`` and ``rolled-back``: starts of the node within this update; 1 where nothing interrupted it."""


class Command(Message, frozen=True, kw_only=True):
    """Something that an operator asks of a node. ``camera`` empty means every camera."""

    id: Label
    action: Literal["snapshot", "pause", "resume", "restart"]
    camera: str = ""


class Reply(Message, frozen=True, kw_only=True):
    """The answer to a command. ``image`` (base64 in JSON) is a small redacted JPEG for ``snapshot``."""

    id: Label
    node: Identity
    camera: str = ""
    ok: bool
    detail: Text = ""
    time: datetime
    image: bytes = b""


AnyMessage = (
    Status | Health | Event | FrameMessage | Receipt | Policy | Release | Fetch | Chunk | Update | Command | Reply
)
