"""A node at work for long: four cameras at five frames per second each must hold their rate, and memory stay flat.

    python -m benchmarks.soak_node [--minutes 30] [--cameras 4] [--fps 5] [--pack base] [--video FILE]

The node is the real program on a looped video (a minute of the synthetic street where none is given), without a broker:
what it selects piles up in a small spool until the quota evicts, which is the harder case. Its own metrics say what
each camera did; /proc says what the process holds. The first fifth of the time is warm-up. Good is

- rate      each camera at 0.98 of its frames per second or more
- memory    the median slope (Theil-Sen) of private memory adds at most 2 % over the measured time
- files     open files and threads, median of the last fifth: at most 2 more than in the first
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import av

from edge.sources import open_source

LOOK_S = 5.0
"""Between two looks at the process."""
WARM_UP = 0.2
"""Share of the time that does not count: caches fill, the spool reaches its quota."""
GROWTH = 0.02
"""Share of the private memory that its slope may add over the measured time."""
HELD = 0.98
"""Share of its rate that a camera must reach."""
MORE = 2
"""Files or threads that may be open on top: a connection attempt under way is one of each."""
EDGE = 0.2
"""Share of the looks at either end whose median counts."""
STREET = "street:seed=5,width=1280,height=720,fps=10"
STREET_FRAMES = 600


def say(text: str) -> None:
    """Tell the person, on standard error; `benchmarks.common` would bring torch along."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Look:
    """What the process held and had done at one moment."""

    at: float
    private: int
    """Bytes."""
    files: int
    threads: int
    cpu: float
    """Seconds of processor time."""
    frames: dict[str, float]
    dropped: dict[str, float]


def film(path: Path, frames: int = STREET_FRAMES) -> Path:
    """Write `frames` of the synthetic street as H.264 and return `path`."""
    source = open_source(STREET, "film")
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=10)
        track.width, track.height, track.pix_fmt = 1280, 720, "yuv420p"
        track.options = {"preset": "veryfast", "g": "20"}
        for frame in islice(source.frames(), frames):
            container.mux(track.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(track.encode())
    source.close()
    return path


def configuration(arguments: argparse.Namespace, folder: Path, video: Path, port: int) -> dict[str, Any]:
    """Return the node's settings."""
    camera = {"source": str(video), "loop": True, "paced": True, "fps": arguments.fps}
    return {
        "node": "soak", "data": str(folder / "data"), "mqtt": {"host": "127.0.0.1", "port": 9},
        "cameras": {f"c{i}": camera for i in range(arguments.cameras)}, "model": {"pack": arguments.pack},
        "policy": {"frames_per_hour": 1800}, "spool": {"max_frames": 200}, "metrics": {"port": port},
    }  # fmt: skip


def look(pid: int, port: int) -> Look:
    """Return what process `pid` holds, and what its metrics at `port` say. Raises OSError where it does not answer."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(RssAnon|Threads):\s+(\d+)", status, re.MULTILINE))
    times = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return Look(
        time.monotonic(), 1024 * int(found["RssAnon"]), sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        int(found["Threads"]), (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        counter(text, "frames"), counter(text, "dropped_frames"),
    )  # fmt: skip


def counter(text: str, name: str) -> dict[str, float]:
    """Return a counter of each camera in Prometheus' `text`."""
    pattern = rf'^wayside_camera_{name}_total{{camera="([^"]+)"}} (\S+)$'
    return {camera: float(value) for camera, value in re.findall(pattern, text, re.MULTILINE)}


def slope(points: list[tuple[float, float]]) -> float:
    """Return the Theil-Sen slope of (x, y): the median over all pairs, which single peaks do not move."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0]]
    return statistics.median(slopes) if slopes else 0.0


def ends(values: list[int]) -> tuple[float, float]:
    """Return the medians of the first and the last of `values`."""
    count = max(1, int(EDGE * len(values)))
    return statistics.median(values[:count]), statistics.median(values[-count:])


def judge(looks: list[Look], fps: float) -> dict[str, Any]:
    """Return the figures of `looks`, and ``ok``."""
    counted = looks[int(WARM_UP * len(looks)) :]
    if len(counted) < 2:
        return {"ok": False, "reason": "too short to measure, or the node ended"}
    first, last = counted[0], counted[-1]
    span = last.at - first.at
    rates = {c: (last.frames[c] - first.frames[c]) / span for c in last.frames}
    per_second = slope([(x.at, x.private) for x in counted])
    growth = per_second * span / statistics.median(x.private for x in counted)
    files, threads = ends([x.files for x in counted]), ends([x.threads for x in counted])
    flat = growth <= GROWTH and max(files[1] - files[0], threads[1] - threads[0]) <= MORE
    held = bool(rates) and min(rates.values()) >= HELD * fps
    return {
        "rates": {c: round(rate, 3) for c, rate in rates.items()}, "held": held, "flat": flat,
        "dropped": sum(last.dropped[c] - first.dropped[c] for c in last.dropped),
        "private_mb": [round(x.private / 1e6, 1) for x in (first, last)], "growth": round(growth, 5),
        "slope_mb_per_hour": round(3600 * per_second / 1e6, 2), "files": files, "threads": threads,
        "cores_used": round((last.cpu - first.cpu) / span, 3),
        "measured_s": round(span), "ok": flat and held,
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Watch the node and return the figures."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        video = Path(arguments.video).absolute() if arguments.video else film(folder / "street.mp4")
        (folder / "node.yaml").write_text(json.dumps(configuration(arguments, folder, video, port)))
        line = [sys.executable, "-m", "edge.cli", "run", "--config", str(folder / "node.yaml")]
        with (folder / "log").open("wb") as log:
            node = subprocess.Popen(line, stdout=log, stderr=log)
        try:
            looks = watch(node, port, 60 * arguments.minutes)
            alive = node.poll() is None
        finally:
            node.terminate()
            node.wait(timeout=20)
        told = [line for line in (folder / "log").read_text(errors="replace").splitlines() if "Traceback" in line]
    answer = judge(looks, arguments.fps)
    return {
        "minutes": arguments.minutes, "cameras": arguments.cameras, "fps": arguments.fps, "alive": alive,
        **answer, "ok": bool(answer["ok"]) and alive and not told, "load": os.getloadavg()[2],
    }  # fmt: skip


def watch(node: subprocess.Popen[bytes], port: int, seconds: float) -> list[Look]:
    """Look at `node` for `seconds`, or until it ends."""
    looks: list[Look] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and node.poll() is None:
        time.sleep(min(LOOK_S, seconds / 10))
        try:
            looks.append(look(node.pid, port))
        except OSError as error:
            say(f"the node does not answer: {error}")
            continue
        now = looks[-1]
        say(f"{len(looks):5}  {now.private / 1e6:.1f} MB  {now.files} files  {now.threads} threads")
    return looks


def arguments(about: str = __doc__ or "") -> argparse.ArgumentParser:
    """Return the parser."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=30.0)
    made.add_argument("--cameras", type=int, default=4)
    made.add_argument("--fps", type=float, default=5.0)
    made.add_argument("--pack", default="base")
    made.add_argument("--video", help="file to watch instead of the synthetic street")
    made.add_argument("--json", action="store_true", help="accepted as everywhere; the last line is always JSON")
    return made


def main() -> int:
    """Parse, run, print one JSON line."""
    answer = run(arguments().parse_args())
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
