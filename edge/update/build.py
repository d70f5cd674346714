"""Where TensorRT runs packs: making its engine, in a process of its own, before anything waits for it.

An engine is refitted where only weights changed against the pack before, else built, which takes minutes on a small
device; it is kept beside the pack (`edge.runtime.engines`), so that opening the pack afterwards takes a moment. The
child is this very module: ``python -m edge.update.build FOLDER PRECISION``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from edge.update.child import Child, die_with_parent, tell
from protocols.pack import Pack, PackError, open_folder

BACKEND: Final = "tensorrt"
TIMEOUT_S: Final = 3600.0
"""Seconds: the slowest device with the largest pack takes some twenty minutes."""
MODULE: Final = "edge.update.build"


def needed(backend: str) -> bool:
    """Say whether packs are built on this node, which has `backend` configured."""
    return backend == BACKEND


def build(pack: Pack, precision: str, timeout: float = TIMEOUT_S, module: str = MODULE) -> str:
    """Make the engine of `pack` and return how it came about: kept, refitted or built. Raises UpdateError."""
    with Child("building", module, str(pack.folder), precision) as child:
        return str(child.ask(timeout=timeout, what="become an engine").get("origin", ""))


def main() -> None:
    """The child process."""
    from edge.runtime import RuntimeFault
    from edge.runtime.tensorrt import TensorRt

    die_with_parent()
    folder, precision = sys.argv[1:]
    try:
        engine = TensorRt(open_folder(Path(folder)), precision)
    except (PackError, RuntimeFault) as error:
        tell(False, reason=str(error))
        return
    tell(True, origin=engine.origin)
    engine.close()


if __name__ == "__main__":
    main()
