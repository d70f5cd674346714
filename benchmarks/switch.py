"""What a change of packs costs the cameras of a working node: frames that were overtaken around the switch-over.

    python -m benchmarks.switch [--cameras 4] [--fps 5] [--switches 5] [--pack base] [--video FILE] --json

A whole node in this process, with looped recordings that keep their rate like live cameras, a broker in memory, and a
centre that signs and answers as the real one does. Two packs that differ by name are released in turn; each update
goes through everything, with its other processes for check and shadow run. Counted for each camera: frames dropped
within two seconds of the switch, in the whole update, and in as long a time without one. Exit status 1 where a switch
cost a camera more than one frame more than such four seconds cost it at rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from securesystemslib.signer import CryptoSigner

from benchmarks.soak_node import film, say
from central.releases import transfer
from central.releases.registry import archive_path
from edge.agent import Agent
from edge.config import NodeConfig
from edge.mqtt import MemoryBroker
from edge.node import build
from edge.runtime.packs import find
from protocols import codec, topics
from protocols import pack as packs
from protocols.messages import Fetch, Release, utc_now
from protocols.pack import Pack
from protocols.trust import TIME
from protocols.trust.sign import Repository, make_root

NODE: Final = "switch"
PREFIX: Final = topics.DEFAULT_PREFIX
AROUND_S: Final = 2.0
"""Before and after a switch: what it delays shows there."""
REST_S: Final = 12.0
"""Without an update, to compare with."""
LOOK_S: Final = 0.02
PATIENCE_S: Final = 180.0


class Centre:
    """Signs, and answers what nodes fetch."""

    def __init__(self, folder: Path, broker: MemoryBroker) -> None:
        self.folder, self._broker = folder, broker
        root, online = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
        first = make_root([root], 1, online.public_key, utc_now())
        self.repository = Repository.create(folder / "trust", first, online, utc_now())
        self.root = folder / "root.json"
        self.root.write_bytes(first.to_bytes())
        (folder / "packs").mkdir()
        broker.watch(self._hear)

    def _hear(self, topic: str, payload: bytes) -> None:
        if topics.parse(PREFIX, topic).channel == "fetch":
            fetch = codec.decode("fetch", payload)
            if isinstance(fetch, Fetch):
                self.send("chunks", transfer.answer(self.folder / "packs", fetch, self._signed))

    def _signed(self, name: str) -> bytes | None:
        kind, _, rest = name.partition("/")
        if kind == TIME:
            return self.repository.tell_time(rest, utc_now())
        path = self.folder / "trust" / rest
        return path.read_bytes() if path.is_file() else None

    def send(self, channel: str, message: Any) -> None:
        """Send `message` to the node."""
        self._broker.publish(topics.build(PREFIX, NODE, channel), codec.encode(channel, message))

    def release(self, pack: Pack, number: int) -> None:
        """Sign `pack` as release `number` and offer it."""
        data = packs.archive(pack)
        archive_path(self.folder / "packs", pack.address).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        self.repository.add(pack.address, len(data), digest, number, pack.manifest.name, utc_now())
        self.send("release", Release(number=number, pack=pack.address, size=len(data), time=utc_now()))


@dataclass
class Series:
    """Frames that each camera dropped and had seen, over time."""

    agent: Agent
    rows: list[tuple[float, dict[str, int], dict[str, int]]] = field(default_factory=list)

    def look(self) -> None:
        """Add a row of now."""
        cameras = self.agent.cameras
        dropped = {name: camera.reader.dropped for name, camera in cameras.items()}
        self.rows.append((time.monotonic(), dropped, {name: c.meter.frames for name, c in cameras.items()}))

    def until(self, over: Callable[[], bool]) -> None:
        """Look until `over`."""
        end = time.monotonic() + PATIENCE_S
        while not over():
            if time.monotonic() > end:
                raise SystemExit("benchmark: the node did not do what it should within three minutes")
            self.look()
            time.sleep(LOOK_S)

    def dropped(self, begin: float, end: float) -> dict[str, int]:
        """Return how many frames each camera dropped between two times."""
        inside = [row for row in self.rows if begin <= row[0] <= end]
        return {name: inside[-1][1][name] - inside[0][1][name] for name in inside[0][1]}


def named(pack: Pack, name: str, folder: Path) -> Pack:
    """Return `pack` under another name, which makes it another pack."""
    contents = {file: pack.path(file).read_bytes() for file in pack.manifest.files}
    return packs.create(folder / name, msgspec.structs.replace(pack.manifest, name=name), contents)


def switch(series: Series, centre: Centre, pack: Pack, number: int) -> dict[str, Any]:
    """Release `pack`, and return what the update cost."""
    began = time.monotonic()
    centre.release(pack, number)
    agent = series.agent
    series.until(lambda: agent.running().address == pack.address)
    at = time.monotonic()
    series.until(lambda: agent.updater.committed == number)
    done = time.monotonic()
    series.until(lambda: time.monotonic() > max(done, at + AROUND_S))
    return {
        "update_s": round(done - began, 2), "at_switch": series.dropped(at - AROUND_S, at + AROUND_S),
        "in_update": series.dropped(began, done),
    }  # fmt: skip


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure."""
    video = arguments.video or film(folder / "street.mp4", 200)
    pack = find(arguments.pack, folder)
    two = [named(pack, name, folder / "two") for name in ("one", "other")]
    broker = MemoryBroker()
    centre = Centre(folder / "centre", broker)
    camera = {"source": str(video), "loop": True, "paced": True, "fps": arguments.fps}
    config = NodeConfig.model_validate(
        {
            "node": NODE, "data": folder / "data", "cameras": {f"c{i}": camera for i in range(arguments.cameras)},
            "model": {"pack": arguments.pack}, "updates": {"root": str(centre.root)},
        }
    )  # fmt: skip
    agent = build(config, broker)
    thread = threading.Thread(target=agent.run, daemon=True)
    thread.start()
    series = Series(agent)
    try:
        series.until(lambda: all(c.meter.frames > 10 for c in agent.cameras.values()))
        began = time.monotonic()
        series.until(lambda: time.monotonic() > began + REST_S)
        rest = series.dropped(began, began + REST_S)
        seen = {n: series.rows[-1][2][n] for n in rest}
        switches = []
        for number in range(1, arguments.switches + 1):
            switches.append(switch(series, centre, two[number % 2], number))
            say(f"switch {number}: {switches[-1]}")
    finally:
        agent.stop()
        thread.join(10)
    share = 2 * AROUND_S / REST_S
    worst = max(max(s["at_switch"].values()) for s in switches)
    resting = max(rest.values()) * share
    return {
        "cameras": arguments.cameras, "fps": arguments.fps, "switches": switches, "worst": worst,
        "at_rest": {"seconds": REST_S, "dropped": rest, "per_switch_window": round(resting, 2)},
        "seen_at_rest": seen, "ok": worst <= 1 + resting,
    }  # fmt: skip


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cameras", type=int, default=4)
    made.add_argument("--fps", type=float, default=5.0)
    made.add_argument("--switches", type=int, default=5)
    made.add_argument("--pack", default="base")
    made.add_argument("--video", type=Path)
    made.add_argument("--json", action="store_true", help="there for company: the last line is JSON in any case")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with tempfile.TemporaryDirectory(prefix="wayside-switch-") as folder:
        answer = run(made.parse_args(), Path(folder))
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
