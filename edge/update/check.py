"""Opening a pack and proving that this device computes what it was made with, in a process of its own.

The child is this very module: ``python -m edge.update.check FOLDER BACKEND PRECISION THREADS``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from edge.update.child import Child, die_with_parent, tell
from protocols.pack import PARITY, Pack, PackError, open_folder

TIMEOUT_S: Final = 300.0
"""Seconds for opening and running: a slow node needs a minute; whatever takes longer than this hangs."""
MODULE: Final = "edge.update.check"


def check(
    pack: Pack, backend: str, precision: str, threads: int, timeout: float = TIMEOUT_S, module: str = MODULE
) -> str:
    """Run the check on `pack` in a child process and return its detail. Raises UpdateError with the reason."""
    with Child("checking", module, str(pack.folder), backend, precision, str(threads)) as child:
        return str(child.ask(timeout=timeout, what="open and run").get("detail", ""))


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
    die_with_parent()
    folder, backend, precision, threads = sys.argv[1:]
    ok, detail = run_here(Path(folder), backend, precision, int(threads))
    tell(ok, **{"detail" if ok else "reason": detail})


if __name__ == "__main__":
    main()
