"""Wrong wall clocks for one process: everything in it that asks for the time of day gets the wrong one.

Patched are ``time.time`` and, in every module of ours that is loaded, `utc_now` and ``datetime.now``. The monotonic
clock is left alone, as it is when a machine's clock is set; what the operating system stamps (files) stays right.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

Clock = Callable[[], datetime]
OURS = ("edge.", "protocols.", "central.", "tests.faults.")
STEP_S = 0.5


def _from(start: datetime) -> Clock:
    began = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - began)


def _steps() -> Clock:
    """An hour forward, an hour back, and right again, every half second."""
    right = _from(datetime.now(UTC))
    hours = (0, 1, -1, 0, -1, 1)
    return lambda: right() + timedelta(hours=hours[int(time.monotonic() / STEP_S) % len(hours)])


CLOCKS: dict[str, Callable[[], Clock]] = {
    "1970": lambda: _from(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    "2038": lambda: _from(datetime(2038, 1, 19, 3, 14, 5, tzinfo=UTC)),  # two seconds before 32 bits are full
    "steps": _steps,
}


TIMED = ("edge.link", "edge.mqtt.client")
"""Modules that measure how long something takes."""


def install(name: str, bug: bool = False) -> None:
    """Give this process the wrong clock `name`, once all modules that it needs are loaded. With the planted `bug`,
    durations of the link are measured with it."""
    clock = CLOCKS[name]()
    for timed in TIMED if bug else ():
        wall = {**vars(time), "monotonic": lambda: clock().timestamp()}
        sys.modules[timed].time = SimpleNamespace(**wall)  # type: ignore[attr-defined]

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return clock().astimezone(tz) if tz else clock().replace(tzinfo=None)

    time.time = lambda: clock().timestamp()
    for module in [m for n, m in sys.modules.items() if n.startswith(OURS) and m is not None]:
        if module.__name__ == __name__:
            continue
        if hasattr(module, "utc_now"):
            module.utc_now = clock
        if getattr(module, "datetime", None) is datetime:
            module.datetime = Wrong  # type: ignore[attr-defined]
