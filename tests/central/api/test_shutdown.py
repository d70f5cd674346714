"""The end of a server that somebody still listens to."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import httpx
import pytest

from central.commands import serve
from central.settings import Settings

World = Any
LISTENERS = 3


async def test_server__ends_though_event_streams_are_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a browser leaves it: pages that hold their streams open when the centre is told to stop."""
    monkeypatch.setattr(serve, "GRACE_S", 0.3)
    settings = Settings.model_construct(host="127.0.0.1", port=0)
    headers = {"Authorization": f"Bearer {world.tokens['viewer']}"}
    held = []
    async with contextlib.AsyncExitStack() as stack:
        sock = stack.enter_context(contextlib.closing(serve.listen(settings)))
        server = serve.make_server(world.centre)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/api/v1/events"
        client = await stack.enter_async_context(httpx.AsyncClient(headers=headers))
        for _ in range(LISTENERS):
            answer = await stack.enter_async_context(client.stream("GET", url))
            lines = answer.aiter_lines()
            held.append(lines)  # one that nobody holds closes its stream
            assert await anext(lines) == ": here"
        begun = time.monotonic()
        server.should_exit = True
        await asyncio.wait_for(serving, 10)
    assert time.monotonic() - begun < 5
    assert world.centre.notifier._listeners == [], "the streams ended with the server"
