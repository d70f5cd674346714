"""The sections of a node's settings, each strict and frozen; `edge.config` puts them together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.yamlfile import Substituted
from protocols import topics
from protocols.messages import IDENTITY, Policy

MAX_POINTS: Final = 64
"""Corners of one mask."""


class Section(BaseModel):
    """Base of every section: strict, frozen, no unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: _retype(v, cls.model_fields[k].annotation) if k in cls.model_fields else v for k, v in value.items()}


def _retype(value: Any, annotation: Any) -> Any:
    """Read substituted text as a number or switch where the field holds no text."""
    text = any(kind in str(annotation) for kind in ("str", "Path", "Literal"))
    if text or not isinstance(value, Substituted):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return str(value)


Name = Annotated[str, Field(pattern=IDENTITY, max_length=64)]
FilePath = Annotated[Path, Field(strict=False)]
Point = Annotated[tuple[float, float], Field(strict=False)]
"""x, y as shares of width and height, 0..1."""


class TlsConfig(Section):
    """TLS to the broker. `{}` means TLS with the system's authorities."""

    ca: FilePath | None = None
    """File of the authorities that sign the broker's certificate; the system's where absent."""
    cert: FilePath | None = None
    """This node's certificate."""
    key: FilePath | None = None
    """Key of `cert`."""
    check_name: bool = True
    """Whether the certificate must name the host. Switch off only for a broker with its own authority in `ca`."""

    @model_validator(mode="after")
    def _together(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together; give both or none")
        if not self.check_name and self.ca is None:
            raise ValueError("check_name: false needs ca, or anybody could be the broker")
        return self


class MqttConfig(Section):
    """Where the broker is, and how to use it."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port; 1883, or 8883 with TLS, where absent."""
    prefix: Annotated[str, Field(max_length=200)] = topics.DEFAULT_PREFIX
    """First levels of every topic; the same at the centre."""
    username: Annotated[str, Field(max_length=256)] = ""
    """User name at the broker, if it asks for one."""
    password: Annotated[str, Field(max_length=1024)] = Field(default="", repr=False)
    """Password; best written as ${NAME} or ${file:/path}."""
    client_id: Annotated[str, Field(max_length=128)] = ""
    """MQTT client id; made from the node's name where empty."""
    version: Literal["auto", "3.1.1", "5"] = "auto"
    """MQTT version, in quotes; auto: 5, and 3.1.1 where the broker does not answer to that."""
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    """Seconds of silence after which both sides look whether the other is alive."""
    window: Annotated[int, Field(ge=1, le=256)] = 32
    """Frames under way without receipt."""
    receipt_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """Seconds without receipt after which a frame is sent again."""
    backoff_cap_s: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    """Longest wait between attempts to connect, seconds."""
    tls: TlsConfig | None = None
    """TLS; none where absent."""

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        return topics.check_prefix(value)

    @property
    def effective_port(self) -> int:
        """The port, with its default."""
        return self.port or (8883 if self.tls else 1883)


class ModelConfig(Section):
    """Which pack to start with, and how to run it. A committed release counts more than `pack`."""

    pack: Annotated[str, Field(min_length=1, max_length=4096)] = "base"
    """Folder, .wpack file, or base."""
    backend: Annotated[str, Field(min_length=1, max_length=64)] = "auto"
    """auto, cpu, cuda, onnxruntime-tensorrt or tensorrt."""
    precision: Annotated[str, Field(min_length=1, max_length=16)] = "fp32"
    """Variant of the pack: fp32, int8 ..."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one pass."""


def _known_policy(name: str) -> str:
    from edge import select  # here, as the policies need numpy, and the schema does not

    known = select.kinds()
    if name not in known:
        raise ValueError(f"no policy {name!r}; there are: {', '.join(known)}")
    return name


PolicyName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_known_policy)]


class PolicyConfig(Section):
    """What to select until the centre says otherwise."""

    policy: PolicyName = "budget"
    """Name of the selection policy."""
    frames_per_hour: Annotated[float, Field(ge=0, le=3_600_000)] = 60.0
    """Quota per camera."""
    audit_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the quota drawn uniformly, whatever the scores say."""
    min_gap_s: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    """Least seconds between two selected frames of a camera."""
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] = 90
    """JPEG quality of what is sent."""
    frames_per_day: Annotated[float, Field(ge=0, le=86_400_000)] | None = None
    """Quota per camera in any 24 hours; absent: as many as the hours allow."""
    bytes_per_hour: Annotated[int, Field(ge=0)] | None = None
    """Bytes of images per camera in any hour; absent: no limit."""
    bytes_per_day: Annotated[int, Field(ge=0)] | None = None
    """Bytes of images per camera in any 24 hours; absent: no limit."""

    def message(self, version: int = 0) -> Policy:
        """Return these settings as the message that the selection takes."""
        return Policy(version=version, **self.model_dump())


class PolicyOverride(Section):
    """What one camera selects differently; absent means as for all."""

    policy: PolicyName | None = None
    """Name of the selection policy."""
    frames_per_hour: Annotated[float, Field(ge=0, le=3_600_000)] | None = None
    """Quota of this camera."""
    audit_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the quota drawn uniformly."""
    min_gap_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Least seconds between two selected frames."""
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] | None = None
    """JPEG quality of what is sent."""
    frames_per_day: Annotated[float, Field(ge=0, le=86_400_000)] | None = None
    """Quota of this camera in any 24 hours."""
    bytes_per_hour: Annotated[int, Field(ge=0)] | None = None
    """Bytes of this camera's images in any hour."""
    bytes_per_day: Annotated[int, Field(ge=0)] | None = None
    """Bytes of this camera's images in any 24 hours."""


class DetectorConfig(Section):
    """A pack that finds what must be hidden, such as faces or number plates. It runs on frames that are kept only."""

    pack: Annotated[str, Field(min_length=1, max_length=4096)]
    """Folder or .wpack file; wayside-export import-onnx makes one of a detector of somebody else."""
    labels: list[Annotated[str, Field(min_length=1, max_length=64)]] = []
    """Which of its labels are hidden; all where empty."""
    score: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Score from which a detection is hidden: lower hides more; the pack's own where absent."""
    method: Literal["fill", "blur", "pixelate"] = "pixelate"
    """How they are hidden."""
    part: Literal["box", "head"] = "box"
    """Which part of such a detection."""


class RedactConfig(Section):
    """What is made unreadable before a frame is written anywhere."""

    masks: list[Annotated[list[Point], Field(min_length=3, max_length=MAX_POINTS)]] = []
    """Polygons that are hidden from everything, the model included: points as shares of width and height."""
    labels: list[Annotated[str, Field(min_length=1, max_length=64)]] = ["person"]
    """Labels hidden in what is stored and sent; [] hides none. If the pack lacks a given one, nothing is sent."""
    method: Literal["fill", "blur", "pixelate"] = "pixelate"
    """How the regions of `labels` are hidden; masks are always filled."""
    part: Literal["box", "head"] = "head"
    """Which part of such a detection: all of its box, or the upper part with the head."""
    detectors: Annotated[list[DetectorConfig], Field(max_length=4)] = []
    """Packs that find further things to hide, such as faces or number plates."""

    @field_validator("masks")
    @classmethod
    def _shares(cls, value: list[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
        if any(not 0.0 <= c <= 1.0 for mask in value for point in mask for c in point):
            raise ValueError("points are shares of width and height, each from 0 to 1")
        return value


class RedactOverride(Section):
    """What one camera hides differently; absent means as for all."""

    masks: list[Annotated[list[Point], Field(min_length=3, max_length=MAX_POINTS)]] | None = None
    """Polygons of this camera, instead of the common ones."""
    labels: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = None
    """Labels of this camera, instead of the common ones."""
    method: Literal["fill", "blur", "pixelate"] | None = None
    """How the regions of `labels` are hidden."""
    part: Literal["box", "head"] | None = None
    """Which part of such a detection."""
    detectors: bool = True
    """Whether the common `detectors` look at this camera, too."""


class SpoolConfig(Section):
    """What may wait on disk for the centre."""

    max_bytes: Annotated[int, Field(ge=1024 * 1024, le=1 << 42)] = 2 * 1024**3
    """Quota in bytes."""
    max_frames: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Quota in frames."""
    max_age_s: Annotated[float, Field(ge=60)] | None = None
    """Seconds of running after which a frame that still waits is given up; never where absent."""
    reserve_bytes: Annotated[int, Field(ge=4096, le=1 << 30)] = 256 * 1024
    """Part of the quota that is kept free, so that a full disk can free itself."""
    key_file: FilePath | None = None
    """File of 32 random bytes, mode 0600, with which frames are encrypted on disk; not encrypted where absent."""


class UpdatesConfig(Section):
    """Whom to believe about new packs, and where to get them."""

    root: FilePath | None = None
    """First root metadata of the centre (its trust/1.root.json); an enrolment brings it. None: no release counts."""
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Folder on a web server with trust/ and packs/ in it; over the link where absent."""
    ca: FilePath | None = None
    """Authority that the web server's certificate must come from; the system's where absent."""
    max_bytes_per_s: Annotated[int, Field(ge=1024)] | None = None
    """Most bytes per second that fetching a pack may take of the link; no limit where absent."""
    freshness_s: Annotated[float, Field(ge=1, le=86_400)] = 6 * 3600.0
    """Seconds between looks at whether the centre still signs; news that is withheld is noticed so."""
    shadow_frames: Annotated[int, Field(ge=1, le=1000)] = 20
    """Live frames on which a new pack runs beside the old one before it counts."""
    shadow_share: Annotated[float, Field(ge=0.01, le=1)] = 0.25
    """Most of the time that this may take of one processor."""
    max_latency_ratio: Annotated[float, Field(gt=1)] = 2.5
    """A pack that takes longer than so many times the old one is rolled back."""
    min_kept: Annotated[float, Field(ge=0, le=1)] = 0.2
    """A pack that sees less than this share of what the old one is certain of is rolled back; 0 lets all pass."""


class MetricsConfig(Section):
    """Prometheus metrics, on the loopback interface only."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of http://127.0.0.1:PORT/metrics; none where absent."""
    health_interval_s: Annotated[float, Field(ge=0.5, le=3600)] = 30.0
    """Seconds between health messages."""
    events_interval_s: Annotated[float, Field(ge=0.5, le=3600)] = 10.0
    """Seconds between count events of a camera."""
