"""A node at work for long: memory and file descriptors must stay flat, the rate must hold.

    python -m benchmarks.soak [--minutes 30] [--cameras 4] [--fps 5] [--pack base]

The node runs on the synthetic street without a broker: what it selects piles up in the spool until the quota evicts,
which is the harder case. Exit status 1 where memory grew by more than a tenth after the first fifth of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import say

GROWTH = 0.10
"""Share of the resident memory that may be added after warm-up."""
LOOK_S = 10.0


def resident(pid: int) -> int:
    """Return the resident memory of process `pid`, bytes (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Return how many files process `pid` has open (Linux)."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def command(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Return the node's command line."""
    line = [sys.executable, "-m", "edge.cli", "run", "--node", "soak", "--data", str(folder), "--pack", arguments.pack,
            "--broker", "127.0.0.1:9", "--fps", str(arguments.fps), "--frames-per-hour", "3600"]  # fmt: skip
    for i in range(arguments.cameras):
        line += ["--camera", f"c{i}=street:seed={i + 1},fps={arguments.fps}"]
    return line


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Watch the node and return the figures."""
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "log").open("wb") as log:
        node = subprocess.Popen(command(arguments, Path(scratch) / "data"), stdout=log, stderr=log)
        try:
            memory, files, end = [], [], time.monotonic() + arguments.minutes * 60
            while time.monotonic() < end and node.poll() is None:
                time.sleep(min(LOOK_S, arguments.minutes * 6))
                if node.poll() is None:
                    memory.append(resident(node.pid))
                    files.append(descriptors(node.pid))
                    say(f"{len(memory):5}  {memory[-1] / 1e6:.0f} MB  {files[-1]} files")
        finally:
            alive = node.poll() is None
            node.terminate()
            node.wait(timeout=20)
    warm = len(memory) // 5
    growth = max(memory[warm:]) / memory[warm] - 1 if memory[warm:] else float("inf")
    return {
        "minutes": arguments.minutes, "alive": alive, "growth": growth,
        "memory_mb": [round(m / 1e6, 1) for m in (memory[warm], memory[-1])] if memory else [],
        "files": [files[warm], files[-1]] if files else [], "ok": alive and growth <= GROWTH,
    }  # fmt: skip


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--minutes", type=float, default=30.0)
    made.add_argument("--cameras", type=int, default=4)
    made.add_argument("--fps", type=float, default=5.0)
    made.add_argument("--pack", default="base")
    made.add_argument("--json", action="store_true")
    answer = run(made.parse_args())
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
