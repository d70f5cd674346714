"""A job that only shows that jobs work: it counts, says so, and can be told to fail."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

FORK_S: Final = 20.0
"""For a process that does nothing to end."""


def count(steps: int, seconds: float, report: Callable[[Mapping[str, Any]], None], fail: str = "") -> dict[str, Any]:
    """Report `steps` steps with a pause of `seconds` before each; raise ValueError with `fail` at the end."""
    for number in range(1, steps + 1):
        time.sleep(seconds)
        report({"progress": number / steps, "detail": f"step {number} of {steps}"})
        print(f"counted {number}", flush=True)
    if fail:
        raise ValueError(fail)
    return {"counted": steps}


def fork(report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Start a forked process, as loading images does, and say how it ended; None where it hangs."""
    child = multiprocessing.get_context("fork").Process(target=_nothing)
    child.start()
    child.join(FORK_S)
    status = child.exitcode
    if status is None:
        child.kill()
    return {"status": status}


def _nothing() -> None:
    pass
