"""What a node counts, and how it tells: health messages, and Prometheus on the loopback interface.

Durations are monotonic. A `Meter` belongs to one camera; it is written by the worker and read by others, and holds a
bounded number of latencies.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from protocols.messages import MAX_ALERTS, MAX_TEXT, CameraHealth

LATENCIES: Final = 512
"""Latencies kept per camera: half a minute at 15 frames per second."""
SPEAKING: Final = 64
"""Frames over which the scores of a camera are averaged for its health."""
FAILING: Final = 10
"""Frames in a row that cannot be assessed before operators are told: one or two may be damaged."""
THERMAL: Final = Path("/sys/class/thermal")
MAX_CELSIUS: Final = 200.0
"""A sensor that says more is broken."""

CameraState = Literal["watching", "connecting", "paused", "ended", "failed"]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that `share` (0..1) of `values` do not exceed (nearest rank); 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass
class Meter:
    """Counts of one camera since the node started."""

    frames: int = 0
    selected: int = 0
    overtaken: int = 0
    """Selected frames that could not be written because the disk did not keep up."""
    faults: int = 0
    """Frames on which the model or a score failed."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    """Seconds from capture to decision."""
    blur: deque[float] = field(default_factory=lambda: deque(maxlen=SPEAKING))
    uncertainty: deque[float] = field(default_factory=lambda: deque(maxlen=SPEAKING))
    failures: int = 0
    """Frames in a row, up to now, that could not be assessed."""
    reason: str = ""
    """Why the last of them could not."""
    _last: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))
    fps: float = 0.0
    """Frames per second over the last interval between two calls of `tick`."""

    def assessed(self, latency: float, blur: float | None, uncertainty: float | None) -> None:
        """Count a frame that was assessed `latency` seconds after its capture."""
        self.frames += 1
        self.failures = 0
        self.latencies.append(latency)
        if blur is not None:
            self.blur.append(blur)
        if uncertainty is not None:
            self.uncertainty.append(uncertainty)

    def failed(self, reason: str) -> None:
        """Count a frame that could not be assessed."""
        self.faults, self.failures, self.reason = self.faults + 1, self.failures + 1, reason

    @property
    def failing(self) -> str:
        """What to tell operators where not one frame of late could be assessed; else empty."""
        return f"frames cannot be assessed: {self.reason}" if self.failures >= FAILING else ""

    def tick(self, now: float) -> None:
        """End an interval at monotonic time `now`."""
        then, frames = self._last
        if now > then:
            self.fps = (self.frames - frames) / (now - then)
            self._last = (now, self.frames)

    def health(
        self, camera: str, state: CameraState, detail: str, dropped: int, alerts: Sequence[str] = ()
    ) -> CameraHealth:
        """Return this camera's share of a health message; `alerts` are those that stand."""
        latencies = list(self.latencies)
        return CameraHealth(
            camera=camera, state=state, detail=detail[:2000], fps=self.fps, frames=self.frames, selected=self.selected,
            dropped=dropped,
            latency_p50_ms=max(0.0, 1000 * percentile(latencies, 0.5)),
            latency_p95_ms=max(0.0, 1000 * percentile(latencies, 0.95)),
            blur=_mean(self.blur), uncertainty=_mean(self.uncertainty),
            alerts=[text[:MAX_TEXT] for text in alerts[:MAX_ALERTS]],
        )  # fmt: skip


def _mean(values: deque[float]) -> float | None:
    copy = list(values)
    return sum(copy) / len(copy) if copy else None


def temperature(folder: Path = THERMAL) -> float | None:
    """Return the hottest sensor of this machine in degrees Celsius, or None where there is none."""
    found = []
    for path in folder.glob("thermal_zone*/temp"):
        try:
            value = int(path.read_text()) / 1000
        except (OSError, ValueError):
            continue
        if -50.0 < value < MAX_CELSIUS:
            found.append(value)
    return max(found, default=None)


@dataclass(frozen=True)
class Sample:
    """One number for Prometheus."""

    name: str
    help: str
    value: float
    camera: str = ""
    counter: bool = False


class _Samples(Collector):
    def __init__(self, read: Callable[[], list[Sample]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Any] = {}
        for sample in self._read():
            labels = ["camera"] if sample.camera else []
            make = CounterMetricFamily if sample.counter else GaugeMetricFamily
            family = families.setdefault(sample.name, make(sample.name, sample.help, labels=labels))
            family.add_metric([sample.camera] if sample.camera else [], sample.value)
        yield from families.values()


class Exporter:
    """Serves ``http://127.0.0.1:PORT/metrics``. Raises OSError where the port is in use."""

    def __init__(self, port: int, read: Callable[[], list[Sample]]) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Samples(read))
        self._server, self._thread = start_http_server(port, addr="127.0.0.1", registry=registry)

    def close(self) -> None:
        """Stop serving."""
        threading.Thread(target=self._server.shutdown, daemon=True).start()
        self._thread.join(1.0)
        self._server.server_close()
