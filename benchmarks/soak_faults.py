"""The long set of faults: 200 kills and 20,000 frames, PostgreSQL, S3, Mosquitto and an ingest process killed in turn,
every system call of ingest and of updates, 100,000 hostile payloads, 10,000 spoiled signatures.

    python -m benchmarks.soak_faults [--minutes 0] [--kills 200] [--frames 20000] [--rounds 5] [--payloads 100000]

``--minutes`` is only there because every part of `benchmarks.soak` has it: the set takes as long as it takes. Exit
status 1 where a frame is unaccounted for, there twice or not whole, or an error was uncaught.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def call(module: str, *words: str) -> dict[str, Any]:
    """Run ``python -m module`` and return the JSON object on the last line of its output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words], stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"ok": False, "status": done.returncode}
    return found


def main() -> int:
    """Parse, run, print one JSON line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=0.0)
    made.add_argument("--kills", type=int, default=200)
    made.add_argument("--frames", type=int, default=20_000)
    made.add_argument("--rounds", type=int, default=5, help="deaths of each engine")
    made.add_argument("--payloads", type=int, default=100_000)
    made.add_argument("--json", action="store_true")
    given = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="wayside-faults-") as scratch:
        answer: dict[str, Any] = {
            "kills": call("tests.faults.kills", "--kills", str(given.kills), "--frames", str(given.frames)),
            "engines": call("tests.faults.engines", "--rounds", str(given.rounds)),
            "calls": call("tests.faults.every_call", scratch),
            "updates": call("tests.faults.every_update", f"{scratch}/updates"),
            "trust": call("tests.faults.mutated_trust", "--count", "10000", "--json"),
            "hostile": call("tests.faults.hostile_packs", "--json"),
            "bytes": call("benchmarks.fuzz", "--count", str(given.payloads)),
        }
    answer["ok"] = all(part["ok"] for part in answer.values())
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
