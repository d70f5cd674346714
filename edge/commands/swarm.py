"""``wayside-edge swarm``: simulated nodes, which publish small frames and wait for their receipts.

Each node is a real link with a real spool on a temporary folder; only cameras and model are left out.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import edge
from edge.identity import next_boot
from edge.link import Link, LinkSettings, Presence
from edge.metrics import percentile
from edge.mqtt import Broker, PahoConnector
from edge.sources import frame_id
from edge.spool import Spool
from protocols.messages import Assessment, CameraInfo, FrameMessage, Health, Receipt, Selection, Status, utc_now

CAMERA: Final = "simulated"
HEALTH_S: Final = 30.0
SPOOL_BYTES: Final = 256 * 1024 * 1024
SIDE: Final = 64
"""Pixels of the simulated frames."""


@dataclass(frozen=True)
class Load:
    """What each node does: `frames` frames of `size` bytes at `rate` per second."""

    frames: int
    rate: float
    size: int


class SimulatedNode:
    """One node of the swarm."""

    def __init__(self, name: str, broker: Broker, prefix: str, folder: Path, load: Load, image: bytes) -> None:
        self.name, self.load = name, load
        self.latencies: list[float] = []
        folder.mkdir(parents=True)
        self.spool = Spool(folder / "spool", SPOOL_BYTES, 100_000, reserve=4096)
        self.boot = next_boot(folder, name)
        self._image = image + random.Random(name).randbytes(max(0, load.size - len(image)))
        self._made: dict[str, float] = {}
        self._began = time.monotonic()
        connector = PahoConnector(replace(broker, client_id=f"wayside-{name}"))
        settings = LinkSettings(prefix, name, backoff_cap=10.0)
        self.link = Link(settings, connector, self.spool, self.status, {"receipts": self._receipt})
        self._made_frames = 0
        self._next_frame = self._began + random.Random(f"{name}-phase").uniform(0.0, 1.0 / load.rate)
        self._next_health = self._next_frame

    @property
    def done(self) -> bool:
        """Whether every frame was made and has its receipt."""
        return self._made_frames >= self.load.frames and len(self.spool) == 0

    def status(self, state: Presence) -> Status:
        """Return the presence message."""
        camera = CameraInfo(camera=CAMERA, source="simulated", width=SIDE, height=SIDE)
        return Status(
            state=state, node=self.name, boot=self.boot, time=None if state == "offline" else utc_now(),
            site="swarm", version=edge.__version__, backend="simulated", cameras=[camera],
        )  # fmt: skip

    def step(self, now: float) -> None:
        """Do what is due at monotonic time `now`."""
        if self._made_frames < self.load.frames and now >= self._next_frame:
            self._next_frame += 1.0 / self.load.rate
            self._frame(now)
        if now >= self._next_health:
            self._next_health = now + HEALTH_S
            health = Health(
                node=self.name, boot=self.boot, time=utc_now(), uptime_s=now - self._began, spool_frames=len(self.spool)
            )
            self.link.send("health", health)

    def _frame(self, now: float) -> None:
        moment = utc_now()
        message = FrameMessage(
            id=frame_id(moment), node=self.name, boot=self.boot, sequence=self._made_frames, camera=CAMERA,
            site="swarm", time=moment, width=SIDE, height=SIDE, assessment=Assessment(uncertainty=0.5),
            selection=Selection(keep=True, probability=1.0, reason="simulated", policy="all"),
            sha256=hashlib.sha256(self._image).hexdigest(), image=self._image,
        )  # fmt: skip
        self._made[message.id] = now
        self._made_frames += 1
        self.spool.add(message, 0.5)
        self.link.wake()

    def _receipt(self, receipt: Receipt) -> None:
        now = time.monotonic()
        for frame in receipt.ids:
            made = self._made.pop(frame, None)
            if made is not None:
                self.latencies.append(now - made)


def small_jpeg(side: int = SIDE) -> bytes:
    """Return a small valid JPEG."""
    import numpy as np

    from edge.camera import encode_jpeg

    return encode_jpeg(np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8), 80)


def swarm(
    nodes: int, broker: Broker, prefix: str, load: Load, timeout: float, tell: Callable[[str], None], name: str = "sim"
) -> dict[str, Any]:
    """Run `nodes` simulated nodes until all have their receipts or `timeout` seconds passed. Returns the figures."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wayside-swarm-") as folder:
        image = small_jpeg()
        members = [
            SimulatedNode(f"{name}-{i:04d}", broker, prefix, Path(folder) / str(i), load, image) for i in range(nodes)
        ]
        for member in members:
            member.link.start()
        try:
            _drive(members, began + timeout, tell)
        finally:
            stops = [threading.Thread(target=m.link.stop, args=(3.0,)) for m in members]
            for stop in stops:
                stop.start()
            for stop in stops:
                stop.join(4.0)
        latencies = [value for member in members for value in member.latencies]
        missing = nodes * load.frames - len(latencies)
    elapsed = time.monotonic() - began
    return {
        "nodes": nodes, "frames": nodes * load.frames, "receipted": len(latencies), "missing": missing,
        "seconds": round(elapsed, 2), "durable_per_s": round(len(latencies) / elapsed, 2),
        "p50_ms": round(1000 * percentile(latencies, 0.5), 1), "p95_ms": round(1000 * percentile(latencies, 0.95), 1),
        "connects": sum(m.link.counters.connects for m in members), "ok": missing == 0,
    }  # fmt: skip


def _drive(members: list[SimulatedNode], until: float, tell: Callable[[str], None]) -> None:
    told = time.monotonic()
    while not all(member.done for member in members):
        now = time.monotonic()
        if now >= until:
            return
        for member in members:
            member.step(now)
        if now - told >= 5.0:
            told = now
            online = sum(m.link.connected for m in members)
            tell(f"{online} of {len(members)} connected, {sum(len(m.latencies) for m in members)} frames receipted")
        time.sleep(0.005)
