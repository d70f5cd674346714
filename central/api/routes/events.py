"""What changes, as it changes."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from central.api.errors import documented

router = APIRouter(tags=["events"])
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": 'data: {"kind": "frame"}\n\n'}}}
}


@router.get("/events", response_class=StreamingResponse, responses=_STREAM | documented(401))
async def events() -> StreamingResponse:
    """Server-sent events: `{"kind": "node"}` means that what is shown of nodes should be asked for again."""
    raise NotImplementedError
