"""The other end of a job: ``python -m central.jobs.worker FD`` in a process of its own.

stdin    one JSON line {"function", "args"}; stays open, and its end means that the server is gone
FD       reports as JSON lines, the last one {"result": ...} or {"error": ..., "transient": bool}
stdout, stderr   the log

With {"cluster", "job", "kind"} besides, the function runs on that Ray cluster, and this process follows it there.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy.exc import OperationalError

from central.store.blobs import BlobError, BlobMissingError

PACKAGE: Final = "central."
"""Only functions of ours may be named: the name of a function comes from a database."""
ORPHANED: Final = 3
"""Exit status where the server went away."""
BLOCK: Final = 4096
MAX_ERROR: Final = 2000
"""Characters of a reason."""
COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
TRACE: Final = re.compile(r"^ +File \"", re.MULTILINE)
MODULES: Final = re.compile(r"^(?:\w+\.)+(?=\w+: )")
"""Before the name of an exception."""
NICENESS: Final = 5
"""The server comes first: people wait for it."""


def resolve(name: str) -> Callable[..., Any]:
    """Return the function ``package.module:name``. Raises ValueError where it is not one of ours."""
    module, _, attribute = name.partition(":")
    if not module.startswith(PACKAGE) or not attribute or attribute.startswith("_"):
        raise ValueError(f"{name!r} is not the name of a job; use {PACKAGE}module:function")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"job {name!r} cannot be run here: {error}") from None
    if not callable(function):
        raise ValueError(f"{name!r} is not a function")
    return function  # type: ignore[no-any-return]


def _end_with(server: int) -> None:
    """End this process when the file descriptor `server` closes: nobody would hear of its result.

    It reads the bare descriptor: a thread that waits within ``sys.stdin`` keeps its lock, and every process that is
    forked from here, such as one that loads images, would wait for that lock for ever.
    """
    while os.read(server, BLOCK):
        pass
    os._exit(ORPHANED)


def _run(request: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    if "cluster" in request:
        return importlib.import_module("central.jobs.cluster").follow(request, report)  # type: ignore[no-any-return]
    return answer(request, report)


def answer(request: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Run the function that `request` names, here, and return ``{"result": ...}`` or ``{"error", "transient"}``."""
    # A process boundary: whatever a job raises becomes the one line that people see, and its trace goes to the log.
    try:
        return {"result": resolve(request["function"])(**request["args"], report=report) or {}}
    except Exception as error:  # noqa: BLE001 - see above
        traceback.print_exc()
        return {"error": reason(error), "transient": transient(error)}


def reason(error: Exception) -> str:
    """Return what `error` says as one line. Of a trace from another process that is its last line, without colours."""
    text = COLOURS.sub("", str(error)).strip() or type(error).__name__
    if TRACE.search(text):
        text = MODULES.sub("", text.splitlines()[-1].strip(), count=1)
    return " ".join(text.split())[:MAX_ERROR]


def transient(error: Exception) -> bool:
    """Whether another attempt may do better: files, the network, the database or a node did not play their part."""
    if isinstance(error, (FileNotFoundError, BlobMissingError)):
        return False
    ray: Any = sys.modules.get("ray")
    if ray is not None and isinstance(error, ray.exceptions.RayError):
        return not isinstance(error, ray.exceptions.RayTaskError)  # that is an error of ours, from elsewhere
    return isinstance(error, (OSError, EOFError, BlobError, OperationalError))


def main(argv: list[str]) -> int:
    """Run the job that standard input describes and report on the file descriptor ``argv[1]``."""
    os.nice(NICENESS)
    request = json.loads(sys.stdin.readline())
    lock = threading.Lock()
    with os.fdopen(int(argv[1]), "w", encoding="utf-8") as pipe:

        def send(message: Mapping[str, Any]) -> None:
            with lock:
                pipe.write(json.dumps(message) + "\n")
                pipe.flush()

        threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True, name="server-watch").start()
        final = _run(request, lambda step: send({"report": step}))
        send(final)
    sys.stdout.flush()
    os._exit(1 if "error" in final else 0)


if __name__ == "__main__":
    main(sys.argv)
