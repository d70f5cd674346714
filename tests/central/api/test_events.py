"""The stream of events."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from central.api.bus import subscribe
from central.api.routes.events import stream
from central.notify import Notifier

World = Any


def request(token: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""})


async def test_subscriber__same_kind_waits_once() -> None:
    notifier = Notifier()
    with subscribe(notifier) as subscriber:
        for kind in ("frame", "node", "frame", "frame"):
            notifier.emit(kind)  # type: ignore[arg-type]
        assert await subscriber.take() == ["frame", "node"]


async def test_stream__events_then_heartbeat(world: World) -> None:
    events = stream(request(world.tokens["viewer"]), world.centre, heartbeat=0.05)
    assert await anext(events) == ": here\n\n"
    world.centre.notifier.emit("round")
    assert await anext(events) == 'data: {"kind": "round"}\n\n'
    assert await anext(events) == ": here\n\n"
    await events.aclose()


async def test_stream__ends_with_the_session(world: World) -> None:
    now = 0.0
    events = stream(request(world.tokens["viewer"]), world.centre, heartbeat=0.01, clock=lambda: now)
    await anext(events)
    async with world.client("viewer") as client:
        await client.delete("/session")
    now = 1000.0
    rest = [event async for event in events]
    assert rest == [": here\n\n"]


async def test_stream__listener_that_leaves_is_forgotten(world: World) -> None:
    events = stream(request(world.tokens["viewer"]), world.centre, heartbeat=10.0)
    await anext(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert world.centre.notifier._listeners == []


async def test_events__over_http(world: World) -> None:
    """Headers and the first event, through the whole application, spoken to as a server speaks to it."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    token = world.tokens["viewer"].encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/api/v1/events", "raw_path": b"/api/v1/events", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", b"Bearer " + token)], "client": ("127.0.0.1", 1), "server": ("centre", 80),
    }  # fmt: skip
    serving = asyncio.ensure_future(world.app(scope, receive, sent.put))
    start = await asyncio.wait_for(sent.get(), 5)
    await asyncio.wait_for(sent.get(), 5)
    world.centre.notifier.emit("label")
    event = await asyncio.wait_for(sent.get(), 5)
    gone.set()
    await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 5)
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert event["body"] == b'data: {"kind": "label"}\n\n'
