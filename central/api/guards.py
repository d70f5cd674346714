"""What every answer carries, and what no request may be. Plain ASGI, around everything else.

too large a body            413, also where its length is not announced
a change from another site  403, before anybody is asked who they are
headers                     no inline script or style, no framing, no sniffing, no referrer
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from central.api.errors import ApiError, respond

MAX_BODY: Final = 1024 * 1024
"""Bytes of a request; 500 boxes have 60 KB."""
TOO_LARGE: Final = f"the request has more than {MAX_BODY} bytes"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


def _counted(receive: Receive) -> Receive:
    """Return `receive`, raising HTTPException once more than MAX_BODY bytes came.

    Of that kind because the framework turns any other exception while it reads a body into its own answer."""
    seen = 0

    async def count() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise HTTPException(413, TOO_LARGE)
        return message

    return count


def _refusal(scope: Scope) -> ApiError | None:
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        return ApiError(413, "too_large", TOO_LARGE)
    if scope["method"] not in _SAFE and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return ApiError(403, "cross_site", "a page of another site sent this; nothing was changed")
    return None


class Guards:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = _refusal(scope)
        if refusal is not None:
            answer = respond(refusal.status, refusal.code, refusal.message)
            await answer(scope, receive, with_headers)
            return
        await self._app(scope, _counted(receive), with_headers)
