"""A job that only shows that jobs work: it counts, says so, and can be told to fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any


def count(steps: int, seconds: float, report: Callable[[Mapping[str, Any]], None], fail: str = "") -> dict[str, Any]:
    """Report `steps` steps with a pause of `seconds` before each; raise ValueError with `fail` at the end."""
    for number in range(1, steps + 1):
        time.sleep(seconds)
        report({"progress": number / steps, "detail": f"step {number} of {steps}"})
        print(f"counted {number}", flush=True)
    if fail:
        raise ValueError(fail)
    return {"counted": steps}
