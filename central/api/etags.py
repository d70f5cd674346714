"""ETags for answers in JSON: who asks again for what did not change gets 304 and no body. Plain ASGI."""

from __future__ import annotations

import hashlib
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST: Final = 4 * 1024 * 1024
"""Bytes of an answer that is held back to be hashed; a longer one goes out as it comes."""


def matches(header: str, tag: str) -> bool:
    """Whether the header ``If-None-Match`` names `tag`, weakly (RFC 9110, section 13.1.2)."""
    named = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in named or tag.removeprefix("W/") in named


class Etags:
    """The middleware. A route may set an ETag of its own, which then counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with an ETag where it asks for JSON."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        held = _Held(Headers(scope=scope).get("if-none-match", ""), send)
        await self._app(scope, receive, held.take)


class _Held:
    """An answer that waits for the end of its body."""

    def __init__(self, wanted: str, send: Send) -> None:
        self._wanted, self._send = wanted, send
        self._start: Message | None = None
        self._body = bytearray()

    async def take(self, message: Message) -> None:
        """Hold `message` back, or let it pass."""
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if message["status"] == 200 and kind.startswith("application/json"):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)
            elif len(self._body) > MOST:
                await self._send(self._start)
                await self._send({**message, "body": bytes(self._body)})
                self._start = None
            return
        await self._send(message)

    async def _finish(self, start: Message) -> None:
        headers = MutableHeaders(raw=list(start["headers"]))
        own = headers.get("etag")
        tag = own or f'W/"{hashlib.sha256(self._body).hexdigest()[:24]}"'
        headers["etag"] = tag
        headers.setdefault("cache-control", "private, no-cache")
        same = bool(self._wanted) and matches(self._wanted, tag)
        if same:
            headers["content-length"] = "0"
            del headers["content-type"]
        body = b"" if same else bytes(self._body)
        await self._send({**start, "status": 304 if same else 200, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})
