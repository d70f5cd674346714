"""What is known of each request: its id, for logs and answers, and how long it took, for metrics. Plain ASGI.

An id that came with the request (``X-Request-Id``, from a proxy) is kept where it is one; else one is drawn.
"""

from __future__ import annotations

import re
import time
import uuid
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger("central.api.requests")

HEADER: Final = b"x-request-id"
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
UNKNOWN: Final = "none"
"""Route of what has none: a wrong path must not make a series of its own."""
STREAMS: Final = frozenset({"/events"})
"""Routes that last as long as somebody listens."""
_ID: Final = re.compile(r"^[A-Za-z0-9._-]{1,64}\Z")


@dataclass
class Times:
    """How many requests took how long: `counts` per bucket, the last for those above all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Note one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds


@dataclass
class Served:
    """Requests of one application since it started."""

    by_status: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By method, route and status."""
    times: dict[str, Times] = field(default_factory=lambda: defaultdict(Times))
    """By route."""


def _given(scope: Scope) -> str:
    value = next((value for name, value in scope["headers"] if name == HEADER), b"").decode("latin-1")
    return value if _ID.match(value) else uuid.uuid4().hex


class Requests:
    """The middleware. What it counts is in ``app.state.served``."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number, began, status = _given(scope), time.perf_counter(), 500

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, number.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=number):
            try:
                await self._app(scope, receive, marked)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state: Any = scope["app"].state
        served: Served = state._state.setdefault("served", Served())
        route = str(getattr(scope.get("route"), "path", UNKNOWN)).removeprefix(self._prefix)
        served.by_status[scope["method"], route, status] += 1
        if route not in STREAMS:
            served.times[route].add(seconds)
        centre = getattr(state, "centre", None)
        if centre is not None and centre.settings.log_format == "json":
            person, took = str(scope.get("state", {}).get("person", "")), round(seconds, 4)
            log.info("request", method=scope["method"], path=scope["path"], status=status, seconds=took, by=person)
