"""What can be set about the centre: one frozen model, read once from ``WAYSIDE_*`` variables and options.

    defaults < environment < options of the command line -> Settings, or SettingsError with one line

What would be open to the world without protection is refused here, before anything starts.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from central.learn.rules.schedule import parse as parse_schedule
from central.store.retention import parse as parse_retention
from protocols import topics
from protocols.delta.rounding import STEP

ENV_PREFIX: Final = "WAYSIDE_"
DEFAULT_DATA: Final = Path(".wayside/central")
_NEAR: Final = 0.85
"""How alike (0..1) an unknown variable must be to a setting to be taken for a slip of the pen."""

Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(ValueError):
    """A setting that is wrong. The text is one line: which, why, and what to do."""


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """The centre's settings. Every field is also ``WAYSIDE_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    data: Path = Field(DEFAULT_DATA, description="Folder of everything that the centre keeps.")
    database_url: SecretStr | None = Field(
        None,
        description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; without it, a file in the data folder.",
    )
    blob_url: str | None = Field(
        None, description="file:///PATH, memory: or s3://BUCKET/PREFIX; without it, blobs/ in the data folder."
    )
    broker_url: SecretStr | None = Field(
        None,
        description="mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts://HOST[:PORT], where the centre shows its "
        "certificate; without it, a broker of our own.",
    )
    broker_port: int = Field(
        1883, ge=0, le=65535, description="Port of our own broker, on loopback; 0 takes a free one."
    )
    broker_tls_port: int | None = Field(
        None, ge=0, le=65535,
        description="Port where our own broker serves enrolled nodes by TLS, on every interface; none where absent.",
    )  # fmt: skip
    broker_hosts: str = Field(
        "", max_length=2000,
        description="Names and addresses, with commas, by which nodes reach our own broker; "
        "this machine's where empty.",
    )  # fmt: skip
    ingest_workers: int = Field(
        0, ge=0, le=8,
        description="Processes that take frames in, where the broker can share them out (MQTT 5); 0: with our own "
        "Mosquitto one for every two cores, at most 4.",
    )  # fmt: skip
    homeassistant: bool = Field(False, description="Announce every node to Home Assistant, through the same broker.")
    prefix: str = Field(topics.DEFAULT_PREFIX, description="First levels of every MQTT topic.")
    host: str = Field(
        "127.0.0.1", min_length=1, max_length=255, description="Address that the UI and the API listen on."
    )
    port: Port = Field(8080, description="Port that the UI and the API listen on.")
    server_name: str = Field(
        "", max_length=200,
        description="Of several servers: what this one is called in lists; host and port where empty.",
    )  # fmt: skip
    server_number: int = Field(
        0, ge=0, le=7,
        description="Of several servers that show the broker certificates: each has a number of its own, as each needs "
        "a name of its own there.",
    )  # fmt: skip
    drain_s: float = Field(
        0.0, ge=0.0, le=300.0,
        description="Of several servers: seconds for which one that was told to end says so at /ready and still "
        "answers, until the balancer in front noticed.",
    )  # fmt: skip
    behind_tls: bool = Field(
        False,
        description="A proxy in front speaks TLS: cookies become Secure, and a host other than loopback is allowed.",
    )
    proxies: str = Field(
        "", max_length=2000,
        description="With behind_tls: addresses of proxies, with commas, whose X-Forwarded-For is believed; without "
        "them, wrong passwords of everybody count for the proxy's address.",
    )  # fmt: skip
    profile: str = Field(
        "street", min_length=1, description="What the project labels: street, medical, or the path of a YAML file."
    )
    pack: str = Field(
        "base", min_length=1, description="Pack that rounds start from until one is released: folder, file, or base."
    )
    update_step: float = Field(
        STEP, ge=0.0, le=4.0,
        description="Step to which a round rounds what a weight learned, over the standard deviation of that: what is "
        "finer does not travel. 0 leaves networks as they were trained, and updates large.",
    )  # fmt: skip
    gate_worst_camera: float = Field(
        0.05, ge=0.0, le=1.0,
        description="AP50 that any one camera may certainly lose in a round; beyond it, its pack is not offered.",
    )  # fmt: skip
    gate_worst_class: float = Field(
        0.05, ge=0.0, le=1.0, description="AP50 that any one class may certainly lose in a round."
    )
    gate_calibration: float = Field(
        0.1, ge=0.0, le=1.0,
        description="Rise of the expected calibration error: how much further scores may be from what is right.",
    )  # fmt: skip
    gate_latency: float = Field(
        1.3, ge=1.0, le=100.0, description="How many times as long an inference may take as with the pack before."
    )
    gate_size: float = Field(
        32.0, gt=0.0, le=10_000.0,
        description="Megabytes that a node may have to fetch for what a round made; 32 take four minutes at 1 Mbit/s.",
    )  # fmt: skip
    round_after_labels: int | None = Field(
        None, ge=1, description="A round starts by itself once so many frames were labelled since the last one."
    )
    round_after_drift: int | None = Field(
        None, ge=1,
        description="A round starts by itself once so many frames were labelled of a camera that drifts.",
    )  # fmt: skip
    round_schedule: str = Field(
        "", max_length=40,
        description="A round starts by itself at this time, in UTC: 'daily HH:MM' or 'weekly mon HH:MM'.",
    )  # fmt: skip
    round_pause_h: float = Field(
        6.0, ge=0.0, le=8760.0, description="Least hours from the end of a round to one that starts by itself."
    )
    drift_every_h: float = Field(
        6.0, ge=0.0, le=168.0, description="Hours between looks at whether cameras drift; 0: nobody looks."
    )
    drift_boost_h: float = Field(
        24.0, ge=0.0, le=720.0,
        description="Hours for which a camera that begins to drift is given a larger share of its node's quotas; 0: "
        "none.",
    )  # fmt: skip
    node_bytes_per_s: int | None = Field(
        None,
        ge=65536,
        description="Most bytes per second that one node is sent of packs and what is signed; no limit where absent.",
    )
    jobs: str = Field(
        "", pattern=r"^(ray://[^/@\s]{1,255}:[0-9]{1,5})?$",
        description="Where rounds, training and backlogs run: ray://HOST:PORT, a Ray cluster; empty: processes of this "
        "machine.",
    )  # fmt: skip
    jobs_workers: int = Field(
        1, ge=1, le=64, description="Workers of the Ray cluster that train a round together; 8 samples are a batch."
    )
    jobs_cpus: int = Field(1, ge=1, le=256, description="Cores of the Ray cluster that a round takes.")
    webhook_hosts: str = Field(
        "", max_length=2000,
        description="Hosts that may be told of changes, with commas, each with its port where it is not the usual one; "
        "no other is ever called.",
    )  # fmt: skip
    session_hours: float = Field(24.0, ge=0.1, le=720.0, description="Hours after which a login ends.")
    online_after_s: float = Field(
        90.0, ge=5.0, le=3600.0, description="Seconds of silence after which a node counts as offline."
    )
    snapshot_timeout_s: float = Field(
        4.0, ge=0.1, le=30.0, description="Seconds to wait for a node's answer to a command."
    )
    double_share: float = Field(
        0.0, ge=0.0, le=1.0,
        description="Share of the labelled frames that a second person answers, too, without seeing the first answer.",
    )  # fmt: skip
    propose: bool = Field(True, description="Propose labels anew for waiting frames whenever another pack is released.")
    propose_every: bool = Field(
        False,
        description="Propose here for frames, too, on which the node ran the released pack: looked at twice, with "
        "tags, and with the labels of the frame before followed.",
    )
    queue_strategy: str | None = Field(
        None, pattern=r"^[a-z0-9_-]{1,64}$",
        description="By what the queue is put in order, in place of what the profile says: a strategy of acquisition, "
        "or none, for the order of the nodes' values.",
    )  # fmt: skip
    auto_review: bool = Field(
        False, description="Nobody reviews: proposals above auto_confidence become machine-made labels."
    )
    auto_confidence: float = Field(0.5, ge=0.0, le=1.0, description="Score from which auto_review takes a proposal.")
    retention: str = Field(
        "", max_length=200,
        description="What is kept how long where the UI says nothing, as in 'unlabelled=30 skipped=7 labelled=365 "
        "labels=730 audit=365 size=500GB': days, and bytes of images per site. Empty: everything is kept.",
    )  # fmt: skip
    retention_every_h: float = Field(
        6.0, ge=0.0, le=168.0, description="Hours between runs of the retention rules; 0: none runs by itself."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How log lines look: text for people, json (one object a line) for programs."
    )

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        return topics.check_prefix(value)

    @field_validator("round_schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        if value:
            parse_schedule(value)
        return value

    @field_validator("jobs")
    @classmethod
    def _cluster(cls, value: str) -> str:
        if value and find_spec("ray") is None:
            raise ValueError("a cluster needs Ray; pip install 'wayside[ray]'")
        return value

    @field_validator("retention")
    @classmethod
    def _retention(cls, value: str) -> str:
        parse_retention(value)
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if not is_loopback(self.host) and not self.behind_tls:
            raise ValueError(
                f"host {self.host} is reachable from other machines without TLS; "
                "put a proxy with TLS in front and set behind_tls, or use 127.0.0.1"
            )
        if self.proxies and not self.behind_tls:
            raise ValueError("proxies: there are none without behind_tls")
        if "*" in self.proxies:
            raise ValueError("proxies: name them; anybody could claim any address otherwise")
        return self

    @property
    def database(self) -> str:
        """URL of the database."""
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.data / 'central.db'}"

    @property
    def packs(self) -> Path:
        """Folder of registered packs, by address."""
        return self.data / "packs"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the UI."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def _explain(error: ValidationError, overrides: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"setting {name!r} does not exist; settings: {', '.join(Settings.model_fields)}"
    if name in overrides:
        where = f"--{name.replace('_', '-')}"
    else:
        name = name.removeprefix(ENV_PREFIX.lower())
        where = f"{ENV_PREFIX}{name.upper()}"
    return f"{where}: {message[0].lower()}{message[1:]}"


def _refuse_slips(environment: Mapping[str, str]) -> None:
    """Refuse a variable that looks like one of ours, misspelt: it would be ignored in silence."""
    known = [f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in environment:
        if name.startswith(ENV_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
            if near:
                raise SettingsError(f"{name}: no such setting; did you mean {near[0]}?")


def load(**overrides: Any) -> Settings:
    """Return the settings from the environment and `overrides` (None means: not given). Raises SettingsError."""
    given = {name: value for name, value in overrides.items() if value is not None}
    _refuse_slips(os.environ)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error, given)) from None
