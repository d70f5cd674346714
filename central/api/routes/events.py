"""What changes, as it changes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from central.api.access import Viewer, whoever
from central.api.bus import subscribe
from central.api.context import Centre, CentreDep
from central.api.errors import documented

router = APIRouter(tags=["events"])
HEARTBEAT_S: Final = 15.0
"""Seconds without an event after which a comment says that the stream lives; proxies close silent ones."""
MIN_GAP_S: Final = 0.3
"""Seconds between two batches: a burst of frames is one reason to ask again, not a hundred."""
CHECK_S: Final = 60.0
"""Seconds between two looks at whether the listener is still logged in."""
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": 'data: {"kind": "frame"}\n\n'}}}
}


async def stream(
    request: Request, centre: Centre, heartbeat: float = HEARTBEAT_S, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[str]:
    """Yield events as they come, and a comment every `heartbeat` seconds, until the listener's session ends."""
    with subscribe(centre.notifier) as subscriber:
        checked = clock()
        yield ": here\n\n"
        while True:
            try:
                async with asyncio.timeout(heartbeat):
                    kinds = await subscriber.take()
            except TimeoutError:
                yield ": here\n\n"
            else:
                if subscriber.ended:
                    return
                yield "".join(f"data: {json.dumps({'kind': kind})}\n\n" for kind in kinds)
                await asyncio.sleep(MIN_GAP_S)
            if clock() - checked >= CHECK_S:
                checked = clock()
                if await whoever(request, centre) is None:
                    return


@router.get("/events", response_class=StreamingResponse, responses=_STREAM | documented(401))
async def events(request: Request, _: Viewer, centre: CentreDep) -> StreamingResponse:
    """Server-sent events: `{"kind": "node"}` means that what is shown of nodes should be asked for again."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(request, centre), media_type="text/event-stream", headers=headers)
