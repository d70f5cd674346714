"""Opening a pack and proving that this device computes what it was made with, in a process of its own.

A graph that crashes the runtime, or never returns, then costs the update and not the node. The child is this very
module: ``python -m edge.update.check FOLDER BACKEND PRECISION THREADS``; it prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from edge.update import UpdateError
from protocols.pack import PARITY, Pack, PackError, open_folder

TIMEOUT_S: Final = 300.0
"""Seconds for opening and running: a slow node needs a minute; whatever takes longer than this hangs."""
NICE: Final = 10
"""The check gives way to the cameras."""


def check(pack: Pack, backend: str, precision: str, threads: int, timeout: float = TIMEOUT_S) -> str:
    """Run the check on `pack` in a child process and return its detail. Raises UpdateError with the reason."""
    command = ["nice", "-n", str(NICE), sys.executable, "-m", "edge.update.check"]
    arguments = [str(pack.folder), backend, precision, str(threads)]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, timeout=timeout, check=False, text=True)
    except subprocess.TimeoutExpired:
        raise UpdateError(f"checking: the pack did not open and run within {timeout:.0f} s") from None
    except OSError as error:
        raise UpdateError(f"checking: cannot start the check ({error.strerror})") from None
    try:
        report = json.loads(done.stdout.strip().splitlines()[-1])
        ok, detail = bool(report["ok"]), str(report["detail"])
    except (ValueError, IndexError, KeyError, TypeError):
        raise UpdateError(f"checking: the pack ended the runtime (status {done.returncode})") from None
    if not ok:
        raise UpdateError(f"checking: {detail}")
    return detail


def run_here(folder: Path, backend: str, precision: str, threads: int) -> tuple[bool, str]:
    """Run the check in this process. Returns (whether it passed, one sentence)."""
    from edge.runtime import RuntimeFault, parity
    from edge.runtime.model import Model

    try:
        pack = open_folder(folder)
        model = Model(pack, backend=backend, precision=precision, threads=threads)
        if PARITY not in pack.manifest.files:
            return False, f"the pack has no {PARITY}; build it with one"
        report = parity.check(model)
    except (PackError, RuntimeFault) as error:
        return False, str(error)
    return report.ok, report.detail


def main() -> None:
    """The child process."""
    folder, backend, precision, threads = sys.argv[1:]
    ok, detail = run_here(Path(folder), backend, precision, int(threads))
    print(json.dumps({"ok": ok, "detail": detail}), flush=True)


if __name__ == "__main__":
    main()
