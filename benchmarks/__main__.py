"""Every figure that this machine can make, one after the other: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys

FIGURES = (
    "detectors", "heads", "int8", "parity", "node", "partial", "delta", "budget", "accuracy", "missed", "redundancy",
    "switch",
)  # fmt: skip


def main() -> int:
    """Run each benchmark in a process of its own; return how many did not end well, at most 1."""
    failed = 0
    for name in FIGURES:
        print(f"--- {name}", file=sys.stderr, flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--json"], check=False).returncode != 0
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
