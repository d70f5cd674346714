"""A node's settings: one YAML file, one strict and frozen model.

    text -> YAML with line numbers -> ${...} substituted -> validated -> NodeConfig

An unknown or repeated key, a value of the wrong type or out of bounds, and a variable that is not set are errors that
name file, line and key. `policy` and `redact` hold for every camera unless the camera says otherwise; a camera says
only what differs. ``${NAME}``, ``${NAME:-default}`` and ``${file:/path}`` are replaced in values, never in keys, and
what comes out of them is not searched again. `load` and `parse` read the environment that they are given; nothing is
read at import.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from edge import enrolment
from edge.sections import (
    FilePath,
    MetricsConfig,
    ModelConfig,
    MqttConfig,
    Name,
    PolicyConfig,
    PolicyOverride,
    RedactConfig,
    RedactOverride,
    Section,
    SpoolConfig,
    UpdatesConfig,
)
from edge.yamlfile import ConfigError, Reader
from protocols.messages import MAX_CAMERA_TAGS, MAX_LABEL, Policy

MAX_FILE: Final = 1024 * 1024
"""Bytes of a configuration: a thousand cameras need 200 KB."""
MOST_PER_HOUR: Final = 3_600_000.0
"""Frames; what the message of a policy can say."""


def host_name() -> str:
    """Return this machine's name as a node name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("_.-")[:64]
    return name or "node"


Tag = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]


class CameraConfig(Section):
    """One camera. Instead of a section its source alone may stand."""

    source: Annotated[str, Field(min_length=1, max_length=4096)]
    """rtsp:// or http:// address, video file, folder of images, device number, or street: for the synthetic street."""
    enabled: bool = True
    """Whether it is watched."""
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    """Frames per second to assess at most; all where absent."""
    loop: bool = False
    """Whether a file or folder starts again at its end."""
    decode: Literal["auto", "software", "hardware"] = "auto"
    """How RTSP is decoded: by GStreamer in hardware where this machine can (hardware: a warning where it cannot)."""
    paced: bool = True
    """Whether a file plays in real time; otherwise as fast as it can be assessed, without skipping."""
    tags: Annotated[list[Tag], Field(default_factory=list, max_length=MAX_CAMERA_TAGS)]
    """Words for the camera that the centre may choose it by, as for a rollout: junction, indoor."""
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    """Where it stands, degrees north of the equator, for the centre's map; together with `longitude`."""
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    """Degrees east of Greenwich."""
    policy: PolicyOverride = PolicyOverride()
    """What differs from the common `policy`."""
    redact: RedactOverride = RedactOverride()
    """What differs from the common `redact`."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("give latitude and longitude, or neither")
        return self

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees; None where they are not given."""
        return None if self.latitude is None or self.longitude is None else (self.latitude, self.longitude)


def _short_form(value: Any) -> Any:
    """A camera may be its source alone."""
    if isinstance(value, dict):
        return {
            k: {"source": str(v)} if isinstance(v, (str, int)) and not isinstance(v, bool) else v
            for k, v in value.items()
        }
    return value


class NodeConfig(Section):
    """All settings of a node."""

    node: Name = Field(default_factory=host_name)
    """Name of the node; the machine's where absent. Letters, digits, _ . -"""
    site: Name = "default"
    """District that the node belongs to."""
    data: FilePath = Path(".wayside/edge")
    """Folder for the spool, packs and the node's identity."""
    enrolment: FilePath | None = None
    """File that the centre made for this node; says name, site and all of `mqtt` that does not stand here."""
    mqtt: MqttConfig = MqttConfig()
    """The link."""
    cameras: Annotated[dict[Name, CameraConfig], BeforeValidator(_short_form)] = Field(default_factory=dict)
    """The cameras by name."""
    model: ModelConfig = ModelConfig()
    """The model."""
    policy: PolicyConfig = PolicyConfig()
    """What to select."""
    spool: SpoolConfig = SpoolConfig()
    """What may wait on disk."""
    updates: UpdatesConfig = UpdatesConfig()
    """Whose packs to run."""
    redact: RedactConfig = RedactConfig()
    """What to hide."""
    metrics: MetricsConfig = MetricsConfig()
    """What to report."""

    def policy_of(self, camera: str, base: Policy | None = None) -> Policy:
        """Return what `camera` selects: `base` (default: the common policy) with its share of the quotas, and the
        camera's own settings on top."""
        common = shared(base or self.policy.message(), camera)
        own = {k: v for k, v in self.cameras[camera].policy.model_dump().items() if v is not None}
        return msgspec.structs.replace(common, **own)

    def redact_of(self, camera: str) -> RedactConfig:
        """Return what `camera` hides."""
        own = {k: v for k, v in self.cameras[camera].redact.model_dump().items() if v is not None}
        if own.pop("detectors"):
            return self.redact.model_copy(update=own)
        return self.redact.model_copy(update={**own, "detectors": []})


def shared(policy: Policy, camera: str) -> Policy:
    """Return `policy` with the quotas that `camera` has by its share of them."""
    factor = policy.shares.get(camera, 1.0)
    per_day, bytes_hour, bytes_day = policy.frames_per_day, policy.bytes_per_hour, policy.bytes_per_day
    return msgspec.structs.replace(
        policy,
        shares={},
        frames_per_hour=min(MOST_PER_HOUR, policy.frames_per_hour * factor),
        frames_per_day=None if per_day is None else min(24 * MOST_PER_HOUR, per_day * factor),
        bytes_per_hour=None if bytes_hour is None else int(bytes_hour * factor),
        bytes_per_day=None if bytes_day is None else int(bytes_day * factor),
    )


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **NodeConfig.model_json_schema()}


def load(path: Path, environment: Mapping[str, str] | None = None) -> NodeConfig:
    """Read the configuration at `path`. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise ConfigError([f"{path}: more than {MAX_FILE} bytes; that is no configuration"])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    return parse(text, str(path), environment)


def parse(text: str, name: str = "node.yaml", environment: Mapping[str, str] | None = None) -> NodeConfig:
    """Return the configuration in `text`; `name` is the file in messages. Raises ConfigError."""
    reader = Reader(name, os.environ if environment is None else environment)
    data = reader.read(text)
    try:
        return NodeConfig.model_validate(enrolment.expand(data))
    except ValidationError as error:
        raise ConfigError([reader.explain(e["loc"], e["type"], e["msg"], _keys) for e in error.errors()]) from None


def _keys(at: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the section at `at` knows."""
    section: type[BaseModel] = NodeConfig
    for part in at:
        if section is NodeConfig and part == "cameras":
            section = CameraConfig
        elif part in section.model_fields:
            found = section.model_fields[str(part)].annotation
            options = [found, *getattr(found, "__args__", ())]
            section = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), section)
    return list(section.model_fields)
