"""A node whose one camera is bad, and two that are well: do the others notice, and is it back when the fault is over?

    BadCamera (HTTP, MJPEG; breaks on demand) -> the real Reader -> the real Agent <- two steady cameras

python -m tests.faults.cameras [--restarts 10000] [--seconds 20] [--seed N]      the long set, exit status 1 on a miss

Losses are measured as the share of the steady cameras' frames that a newer one overtook, in turns with and without the
fault, in many short windows: what a bad camera does to others it does all the time, what else the machine does comes in
bursts, so the medians are compared. The means stand beside them; on a machine with nothing else to do they are equal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import cv2
import numpy as np

from edge.agent import Agent, Outside
from edge.camera import Parts, ReaderLike
from edge.config import NodeConfig
from edge.mqtt import MemoryBroker
from edge.redact import Redactor
from edge.runtime import Detections, Inference
from edge.sources import Frame, Image, Source, names, open_source
from edge.sources.reader import Reader
from edge.spool import Spool
from edge.update.updater import Identity, Proof, Updater
from protocols import pack as packs
from protocols import slots
from protocols.messages import Assessment, Policy, Release
from protocols.pack import Input, Manifest, Pack

Mode = Literal["well", "frozen", "half", "damaged", "larger", "refused", "unnamed"]
FAULTS: Final[tuple[Mode, ...]] = ("frozen", "half", "damaged", "larger", "refused", "unnamed")
"""No bytes; the upper half of each picture; random bytes in it; another resolution; 401; a name server that hangs."""
RATE: Final = 25.0
"""Frames per second of each steady camera."""
SILENT: Final[tuple[Mode, ...]] = ("frozen", "damaged", "refused", "unnamed")
"""Faults during which not one frame comes."""
WINDOW_S: Final = 0.6
"""Over which a share is taken: 30 frames of the steady cameras, so that one that is lost is more than LOSS."""
BACK_S: Final = 5.0
"""Within which a camera is back after its fault."""
LOSS: Final = 0.01
"""Share of their frames that others may lose on top of what they lose anyway."""
WORK_S: Final = 0.002
"""Seconds that the model takes for a frame: the base pack's."""


def jpeg(width: int, height: int, value: int) -> bytes:
    """Return a picture with something in it."""
    image = np.full((height, width, 3), value % 200, np.uint8)
    cv2.circle(image, (width // 2, height // 2), height // 3, (40, 200, value % 255), -1)
    return cv2.imencode(".jpg", image)[1].tobytes()


class BadCamera:
    """A network camera that breaks as `mode` says."""

    def __init__(self, draw: random.Random) -> None:
        self.mode: Mode = "well"
        self.over = threading.Event()
        self.draw, self.asked = draw, 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.asked += 1
                with contextlib.suppress(OSError):
                    camera.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        """Where it is, by name."""
        return f"http://me:secret@localhost:{self.server.server_port}/video"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one connection, until the mode needs another."""
        while self.mode == "frozen" and not self.over.wait(0.02):
            pass
        if self.mode == "refused":
            handler.send_error(401)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        count = 0
        while not self.over.wait(0.04) and self.mode not in ("refused", "unnamed"):
            if self.mode == "frozen":
                continue
            count += 1
            data = self.picture(count)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            handler.wfile.write(head + data + b"\r\n")

    def picture(self, count: int) -> bytes:
        """Return the next picture, as the mode breaks it."""
        data = jpeg(320, 192, count) if self.mode != "larger" else jpeg(640, 352, count)
        if self.mode == "half":
            return data[: len(data) // 2]
        return self.draw.randbytes(len(data)) if self.mode == "damaged" else data

    def close(self) -> None:
        """Switch it off."""
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Steady:
    """A camera that never fails, 160x96, by the clock: a late frame is still delivered. Implements `Source`."""

    live, recorded = True, False

    def __init__(self, camera: str) -> None:
        self.camera, self.stop = camera, threading.Event()
        self.rate: float | None = RATE
        self.image = np.full((96, 160, 3), 90, np.uint8)

    def frames(self) -> Iterator[Frame]:
        """Yield them."""
        start, index = time.monotonic(), 0
        while not self.stop.wait(max(0.0, start + index / RATE - time.monotonic())):
            yield Frame.now(self.image, self.camera, index)
            index += 1

    def close(self) -> None:
        """End."""
        self.stop.set()


def steady(_: str, camera: str, **__: Any) -> Source:
    """Open a steady camera."""
    return Steady(camera)


class QuickModel:
    """Takes as long as a small model, and sees nothing."""

    labels: tuple[str, ...] = ("car",)
    backend_name = "fake"

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        """Wait."""
        time.sleep(WORK_S)
        none = np.zeros(0, np.float32)
        return Inference(Detections(none.reshape(0, 4), none, none.astype(np.int64)))

    def close(self) -> None:
        """Nothing to do."""


class Nothing:
    """Scores nothing."""

    def assess(self, frame: Frame, inference: Inference, labels: tuple[str, ...]) -> Assessment:
        """Return no score."""
        return Assessment()

    def selected(self, inference: Inference) -> None:
        """Nothing to do."""


def never(_: Release) -> Any:
    """No release comes."""
    raise AssertionError


class World:
    """The node, running, with its bad camera and two steady ones."""

    def __init__(self, folder: Path, draw: random.Random, agent: type[Agent] = Agent) -> None:
        self.bad, self.lookups = BadCamera(draw), names.NAMES._lookup
        (folder / "data" / "packs").mkdir(parents=True)
        manifest = Manifest(name="quick", labels=["car"], input=Input(height=64, width=64))
        pack = packs.create(folder / "pack", manifest, {"model.onnx": b"x" * 10})
        config = NodeConfig.model_validate(
            {
                "node": "n1", "data": folder / "data", "cameras": dict.fromkeys(("bad", "one", "two"), "x"),
                "policy": {"policy": "uniform", "frames_per_hour": 60},
            }
        )  # fmt: skip
        self.opener: Callable[..., Source] = open_source
        parts = {n: self._parts(n, steady) for n in ("one", "two")} | {"bad": self._parts("bad", self._open)}
        outside = Outside(MemoryBroker(), QuickModel, parts, self._updater)
        self.agent = agent(config, "boot", QuickModel(pack), Spool(folder / "data" / "spool", 10**8, 1000), outside)
        names.NAMES._lookup = self._lookup
        self.thread = threading.Thread(target=self.agent.run, daemon=True)
        self.thread.start()
        self.comes(20.0)

    def _open(self, source: str, camera: str, **options: Any) -> Source:
        return self.opener(self.bad.address, camera, **options)

    def _parts(self, name: str, opener: Callable[..., Source]) -> Parts:
        def reader() -> ReaderLike:
            return Reader("camera", name, opener=opener)

        def selector(policy: Policy) -> Any:
            return slots.member("edge.select", "POLICY", policy.policy).create(policy, Random(0))

        return Parts(reader, lambda _: Nothing(), Redactor(), selector)

    def _updater(self, agent: Agent) -> Updater:
        fetcher: Any = object()  # nothing is fetched, as no release comes
        config = agent.config
        proof = Proof(lambda _: "", lambda host, pack, stop: None)
        return Updater(config.data, Identity("n1", "boot"), agent, fetcher, agent.report_update, proof, never)

    def _lookup(self, host: str, port: None) -> Any:
        while self.bad.mode == "unnamed" and not self.bad.over.wait(0.02):
            pass
        return self.lookups(host, port)

    def seen(self, camera: str = "bad") -> int:
        """Return how many frames of `camera` were assessed."""
        return self.agent.cameras[camera].meter.frames

    def comes(self, timeout: float) -> float:
        """Return the seconds until three further frames of the bad camera came; `timeout` where they did not."""
        before, start = self.seen(), time.monotonic()
        while self.seen() < before + 3 and time.monotonic() - start < timeout:
            time.sleep(0.01)
        return time.monotonic() - start

    def share_lost(self, seconds: float) -> float:
        """Return the share of the steady cameras' frames that were overtaken in the next `seconds`."""
        readers: list[Any] = [self.agent.cameras[n].reader for n in ("one", "two")]
        before = [(r.frames, r.dropped) for r in readers]
        time.sleep(seconds)
        after = [(r.frames, r.dropped) for r in readers]
        delivered = sum(a[0] - b[0] for a, b in zip(after, before, strict=True))
        overtaken = sum(a[1] - b[1] for a, b in zip(after, before, strict=True))
        share: float = overtaken / max(1, delivered)
        return share

    def shares_lost(self, seconds: float) -> list[float]:
        """Return that share for each short window of the next `seconds`."""
        return [self.share_lost(WINDOW_S) for _ in range(max(1, round(seconds / WINDOW_S)))]

    def suffers(self, fault: Mode, seconds: float, turns: int = 2) -> dict[str, float]:
        """Return ``loss`` (share, on top of that without the fault: difference of the medians of all windows; ``mean``,
        that of the means), ``back_s`` (the longest of all `turns`) and ``frames`` (of the bad camera, in the second
        half of the faults)."""
        clean, faulty, back, frames = self.shares_lost(seconds / 2), list[float](), list[float](), 0
        for _ in range(turns):
            self.bad.mode = fault
            faulty += self.shares_lost(seconds / 2)
            before = self.seen()
            faulty += self.shares_lost(seconds / 2)
            frames += self.seen() - before
            self.bad.mode = "well"
            back.append(self.comes(1.5 * BACK_S))
            clean += self.shares_lost(seconds / 2)
        mean = statistics.fmean(faulty) - statistics.fmean(clean)
        loss = statistics.median(faulty) - statistics.median(clean)
        return {"loss": loss, "mean": mean, "back_s": max(back), "frames": frames}

    def restarts(self, count: int, pause_s: float = 0.0) -> None:
        """Connect the bad camera anew `count` times."""
        for _ in range(count):
            self.agent.cameras["bad"].restart()
            time.sleep(pause_s)

    def close(self) -> None:
        """End everything."""
        self.agent.stop()
        self.thread.join(10)
        self.bad.close()
        names.NAMES._lookup = self.lookups


def threads_and_files() -> tuple[int, int]:
    """Return how many threads and open files this process has."""
    return threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())


def settled(before: tuple[int, int], slack: int, timeout: float = 15.0) -> tuple[int, int]:
    """Return threads and files that are left on top of `before`, once that is `slack` at most or `timeout` is over."""
    end = time.monotonic() + timeout
    while True:
        now = threads_and_files()
        more = now[0] - before[0], now[1] - before[1]
        if max(more) <= slack or time.monotonic() > end:
            return more
        time.sleep(0.05)


def long_set(restarts: int, seconds: float, draw: random.Random) -> dict[str, Any]:
    """Run every fault, then `restarts`; return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "world", draw)
        try:
            faults: dict[str, dict[str, float]] = {fault: world.suffers(fault, seconds, 3) for fault in FAULTS}
            before = threads_and_files()
            world.restarts(restarts // 100)
            world.opener = steady
            calm, start = world.shares_lost(seconds), time.monotonic()
            worker = threading.Thread(target=world.restarts, args=(restarts - restarts // 100, 0.002))
            worker.start()
            lost = []
            while worker.is_alive():
                lost.append(world.share_lost(WINDOW_S))
            world.opener = open_source
            world.restarts(1)
            back = world.comes(1.5 * BACK_S)
            more = settled(before, 2)
        finally:
            world.close()
    restart = {
        "loss": statistics.median(lost or [0.0]) - statistics.median(calm), "back_s": back, "restarts": restarts,
        "threads": more[0], "files": more[1], "seconds": time.monotonic() - start,
    }  # fmt: skip
    rows: dict[str, dict[str, float]] = {**faults, "restarts": restart}
    good = all(row["loss"] <= LOSS and row["back_s"] <= BACK_S for row in rows.values()) and max(more) <= 2
    return {"ok": good, **rows}


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--restarts", type=int, default=10_000)
    made.add_argument("--seconds", type=float, default=20.0, help="length of each fault")
    made.add_argument("--seed", type=int, default=int(os.environ.get("FAULTS_SEED", random.randrange(2**32))))
    arguments = made.parse_args()
    print("seed", arguments.seed, file=sys.stderr)
    answer = long_set(arguments.restarts, arguments.seconds, random.Random(arguments.seed))
    print(json.dumps({"seed": arguments.seed, **answer}))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
