"""One simulated node: everything that a node says, without cameras, model and disk.

    watch  -> frames into the waiting list, with a sequence number each -> window -> broker
    report -> health and counts                                                      |
    update <- release, chunks                    waiting list loses a frame <- receipt

What waits is only remembered by id: the image is the same for all, and the message is made again when it is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import edge
from edge.link import Backoff, LinkError, Presence, Will, Window
from edge.sources import frame_id
from edge.swarm.mqtt import Client, Login, Server
from protocols import codec, topics, transfer
from protocols import messages as m

CAMERA: Final = "simulated"
SIDE: Final = 64
"""Pixels of the simulated frames."""
TICK_S: Final = 1.0
"""Between looks at the receipts' time-outs."""
ABOUT_S: Final = 0.2
"""Intervals vary by this share, so that nodes do not fall into step."""
FETCH_WINDOW: Final = 2
LONGEST: Final = 3.0
"""Of the mean time away, so that a swarm drains within its time."""
Failing = Literal["", "says so", "silent"]


@dataclass(frozen=True)
class Traffic:
    """What each node does."""

    frames: int = 10
    """At most so many frames; 0: no limit but the time."""
    rate: float = 1.0
    """Frames per second, drawn as a Poisson process; 0: as fast as receipts come."""
    size: int = 4096
    """Bytes of each image at least."""
    health_s: float = 30.0
    counts_s: float = 10.0
    dropouts_per_hour: float = 1.0
    """How often a node vanishes without a word."""
    away_s: float = 30.0
    """How long it stays away, on average."""
    window: int = 32
    """Frames under way without receipt, as in a node's configuration."""
    receipt_timeout_s: float = 30.0
    failing: float = 0.0
    """Share of the nodes, 0..1, that can install no other pack than their first: half of them go back and say so, half
    are never heard of again."""


@dataclass(frozen=True)
class Place:
    """Where the nodes connect, and the image that they send."""

    server: Server
    prefix: str
    image: bytes
    digest: str
    site: str = "swarm"

    @classmethod
    def of(cls, server: Server, prefix: str, image: bytes) -> Place:
        """Return the place with the hash of `image`."""
        return cls(server, prefix, image, hashlib.sha256(image).hexdigest())


@dataclass
class Tally:
    """What became of a node's frames."""

    made: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds from capture to receipt, one for each frame with a receipt."""
    again: int = 0
    """Receipts for frames that had one already."""
    connects: int = 0
    dropouts: int = 0
    updates: int = 0
    refused: str = ""
    """Why the last connection failed."""


@dataclass(frozen=True)
class _Waiting:
    sequence: int
    time: datetime
    made: float


class SimulatedNode:
    """One node of the swarm. `run` lives its life until cancelled."""

    def __init__(self, name: str, place: Place, login: Login, traffic: Traffic, seed: int) -> None:
        self.name, self.traffic, self.tally = name, traffic, Tally()
        self.boot = f"{1:06d}-{secrets.token_hex(4)}"
        self.waiting: dict[str, _Waiting] = {}
        self.over = False
        """Whether it makes no more frames."""
        self._place, self._login = place, login
        self._draw = random.Random(f"{seed} {name}")
        self._backoff = Backoff(cap=15.0, draw=self._draw)
        self._window = Window(traffic.window, traffic.receipt_timeout_s)
        self._client: Client | None = None
        self._ended = asyncio.Event()
        self._updating: asyncio.Task[None] | None = None
        self._silent = False
        self._began = time.monotonic()
        self._release = 0
        self._pack: str | None = None
        self.packs: list[str] = []
        """Those that it installed, in order; it runs the last one."""
        self.offered: list[tuple[int, str]] = []
        """Numbers and packs of the releases that it began with."""
        drawn = random.Random(f"{seed} {name} fails").random()
        self.fails: Failing = "" if drawn >= traffic.failing else "says so" if drawn < traffic.failing / 2 else "silent"
        self._fetching: transfer.Transfer | None = None
        self._answers: asyncio.Queue[m.Chunk] = asyncio.Queue(8)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None and self._client.alive

    async def run(self) -> None:
        """Connect, report, vanish, come back; until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._repeat(self.traffic.health_s, self._health))
                group.create_task(self._repeat(self.traffic.counts_s, self._counts))
                group.create_task(self._repeat(TICK_S, self._pump))
                while True:
                    if await self._connect():
                        await self._stay(group)
                    while self._silent:
                        await asyncio.sleep(TICK_S)
                    await asyncio.sleep(self._backoff.next())
        finally:
            if self._client is not None:
                self._client.close()

    def leave(self) -> None:
        """Say `stopped` and disconnect."""
        if self.connected and self._client is not None:
            self._send("status", self._status("stopped"))
            self._client.close()

    # --- connection ---

    async def _connect(self) -> bool:
        topic = topics.build(self._place.prefix, self.name, "status")
        will = Will(topic, codec.encode("status", self._status("offline")))
        client = Client(self._received, lambda _: self._ended.set(), self._pump)
        self._ended.clear()
        try:
            filters = topics.subscriptions(self._place.prefix, "node", self.name)
            await client.open(self._place.server, self._login, will, filters)
        except LinkError as error:
            self.tally.refused = str(error)
            return False
        self._client = client
        self.tally.connects += 1
        self._send("status", self._status("online"))
        self._pump()
        return True

    async def _stay(self, group: asyncio.TaskGroup) -> None:
        """Stay until the connection ends, or until the node vanishes."""
        rate, began = self.traffic.dropouts_per_hour / 3600.0, time.monotonic()
        try:
            async with asyncio.timeout(self._draw.expovariate(rate) if rate else None):
                await self._ended.wait()
        except TimeoutError:
            await self._vanish()
        self._window.lost()
        if time.monotonic() - began > self.traffic.away_s:
            self._backoff.reset()

    async def _vanish(self) -> None:
        """Be gone for a while; not while the swarm drains."""
        if self.over or self._client is None:
            await self._ended.wait()
            return
        self._client.drop()
        self.tally.dropouts += 1
        mean = self.traffic.away_s
        await asyncio.sleep(min(LONGEST * mean, self._draw.expovariate(1.0 / mean)) if mean else 0.0)

    def _send(self, channel: str, message: m.Message, camera: str = "") -> bool:
        if self._client is None:
            return False
        topic = topics.build(self._place.prefix, self.name, channel, camera)
        try:
            self._client.publish(topic, codec.encode(channel, message), retain=topics.CHANNELS[channel].retained)
        except LinkError:
            return False
        return True

    async def _repeat(self, seconds: float, action: Callable[[], object]) -> None:
        await asyncio.sleep(self._draw.uniform(0.0, seconds))
        while True:
            action()
            await asyncio.sleep(seconds * self._draw.uniform(1.0 - ABOUT_S, 1.0 + ABOUT_S))

    # --- frames ---

    async def _watch(self) -> None:
        while self.traffic.rate and not self._enough():
            await asyncio.sleep(self._draw.expovariate(self.traffic.rate))
            if not self._enough():
                self._capture()
                self._pump()

    def _enough(self) -> bool:
        return self.over or bool(self.traffic.frames and self.tally.made >= self.traffic.frames)

    @property
    def done(self) -> bool:
        """Whether it makes no more frames and each has its receipt."""
        return self._enough() and not self.waiting

    def _capture(self) -> None:
        moment = m.utc_now()
        self.waiting[frame_id(moment)] = _Waiting(self.tally.made, moment, time.monotonic())
        self.tally.made += 1

    def _pump(self) -> None:
        """Send what waits, as far as the window and the socket allow."""
        now = time.monotonic()
        self._window.expire(now)
        if self.traffic.rate == 0.0:
            while len(self.waiting) < self.traffic.window and not self._enough():
                self._capture()
        blocked = self._window.blocked(now)
        for frame, each in list(self.waiting.items())[: 2 * self.traffic.window + len(blocked)]:
            client = self._client
            if client is None or not client.alive or not client.writable or not self._window.room():
                return
            if frame not in blocked and self._send("frames", self._message(frame, each)):
                self._window.sent(frame, len(self._place.image), now)

    def _message(self, frame: str, each: _Waiting) -> m.FrameMessage:
        return m.FrameMessage(
            id=frame, node=self.name, boot=self.boot, sequence=each.sequence, index=each.sequence, camera=CAMERA,
            site=self._place.site, time=each.time, width=SIDE, height=SIDE,
            assessment=m.Assessment(uncertainty=0.5, novelty=0.3), sha256=self._place.digest, image=self._place.image,
            selection=m.Selection(keep=True, probability=0.5, reason="simulated", policy="budget"),
            detections=[m.Detection(box=(8.0, 8.0, 40.0, 40.0), label="car", score=0.6)],
        )  # fmt: skip

    # --- what it says ---

    def _status(self, state: Presence) -> m.Status:
        camera = m.CameraInfo(camera=CAMERA, source="simulated", width=SIDE, height=SIDE)
        return m.Status(
            state=state, node=self.name, boot=self.boot, time=None if state == "offline" else m.utc_now(),
            site=self._place.site, version=edge.__version__, backend="simulated", cameras=[camera],
            pack=self._pack, release=self._release or None,
        )  # fmt: skip

    def _health(self) -> None:
        camera = m.CameraHealth(
            camera=CAMERA, state="watching", fps=10.0, frames=10 * self.tally.made, latency_p50_ms=20.0
        )
        health = m.Health(
            node=self.name, boot=self.boot, time=m.utc_now(), uptime_s=time.monotonic() - self._began, pack=self._pack,
            spool_frames=len(self.waiting), spool_bytes=len(self.waiting) * len(self._place.image),
            sent=len(self.tally.latencies), temperature_c=40.0, crashes=0, cameras=[camera],
        )  # fmt: skip
        self._send("health", health)

    def _counts(self) -> None:
        counts = {"car": self._draw.randrange(20), "person": self._draw.randrange(20)}
        self._send(
            "events", m.Event(node=self.name, camera=CAMERA, time=m.utc_now(), kind="counts", counts=counts), CAMERA
        )

    # --- what it hears ---

    def _received(self, topic: str, payload: bytes) -> None:
        try:
            message: Any = codec.decode(topics.parse(self._place.prefix, topic).channel, payload)
        except (topics.TopicError, codec.CodecError):
            return
        if isinstance(message, m.Receipt):
            self._receipts(message)
        elif isinstance(message, m.Chunk) and not self._answers.full():
            self._answers.put_nowait(message)
        elif isinstance(message, m.Command):
            self._send("reply", m.Reply(id=message.id, node=self.name, ok=True, time=m.utc_now()))
        elif isinstance(message, m.Release) and message.number > self._release:
            self._release = message.number
            self.offered.append((message.number, message.pack))
            if self._updating is not None:
                self._updating.cancel()
            self._updating = asyncio.create_task(self._update(message))

    def _receipts(self, receipt: m.Receipt) -> None:
        now = time.monotonic()
        for frame in receipt.ids:
            self._window.receipt(frame)
            each = self.waiting.pop(frame, None)
            if each is None:
                self.tally.again += 1
            else:
                self.tally.latencies.append(now - each.made)
        self._pump()

    async def _update(self, release: m.Release) -> None:
        """Fetch the pack of `release`, throw it away, and say what a node says."""

        def tell(step: m.Step, progress: float, reason: str = "", **more: Any) -> None:
            update = m.Update(
                node=self.name, boot=self.boot, time=m.utc_now(), release=release.number, pack=release.pack, step=step,
                progress=progress, reason=reason, **more,
            )  # fmt: skip
            self._send("update", update)

        await asyncio.sleep(self._draw.uniform(0.0, self.traffic.health_s))
        tell("announced", 0.0)
        tell("fetching", 0.0)
        try:
            await self._fetch(release)
        except transfer.TransferError as error:
            tell("rolled-back", 1.0, str(error)[: m.MAX_TEXT])
            return
        if self.fails and self.packs and release.pack not in self.packs:
            self._fail(tell)
            return
        steps: tuple[m.Step, ...] = ("verifying", "checking", "shadowing")
        for step in steps:
            tell(step, 1.0)
        tell("committed", 1.0, shadow=self._shadow() if self.packs else None, starts=1)
        self._pack = release.pack
        self.packs.append(release.pack)
        self.tally.updates += 1
        self._send("status", self._status("online"))

    def _fail(self, tell: Callable[..., None]) -> None:
        """Go back and say so, or say nothing any more."""
        if self.fails == "says so":
            tell("checking", 1.0)
            tell("rolled-back", 1.0, "checking: simulated to fail", failed="checking")
        elif self._client is not None:
            self._silent = True
            self._client.drop()
            self._ended.set()

    def _shadow(self) -> m.Shadow:
        """Return what a shadow run of a pack that hardly differs says."""
        agreement, ms = self._draw.uniform(0.8, 0.95), self._draw.uniform(18.0, 22.0)
        camera = m.ShadowCamera(camera=CAMERA, frames=40, agreement=agreement, score_shift=0.01)
        return m.Shadow(
            frames=40, agreement=agreement, score_shift=0.01, boxes_before=60, boxes_after=62, latency_before_ms=ms,
            latency_after_ms=ms * self._draw.uniform(0.95, 1.1), cameras=[camera],
        )  # fmt: skip

    async def _fetch(self, release: m.Release) -> None:
        pull = transfer.Transfer(release.size, window=FETCH_WINDOW)
        name = f"packs/{release.pack}"
        while not pull.done:
            for request in pull.due(time.monotonic()):
                asked = m.Fetch(request=f"{release.number}", name=name, offset=request.offset, length=request.length)
                self._send("fetch", asked)
            try:
                async with asyncio.timeout(TICK_S):
                    chunk = await self._answers.get()
            except TimeoutError:
                continue
            if chunk.name == name:
                pull.answer(chunk.offset, chunk.total, chunk.data, chunk.error)
