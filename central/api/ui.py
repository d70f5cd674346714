"""The built UI: its files, and `index.html` for every other path, so that the UI's own addresses can be opened.

The page's styles need a nonce, fresh with every answer, as the component library adds style elements; scripts come
from files only.
"""

from __future__ import annotations

import html
import mimetypes
import secrets
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from central.api.errors import not_found
from central.api.guards import POLICY

DIST: Final = Path(__file__).parent.parent / "web" / "dist"
NONCE: Final = "__CSP_NONCE__"
"""Replaced in `index.html`."""
HASHED: Final = "public, max-age=31536000, immutable"
"""For ``assets/``: the names of those files have a hash of what is in them."""
_HELP: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Wayside</title></head>
<body><h1>Wayside runs, but its UI is not built</h1>
<p>Build it with <code>make web</code> and reload this page. The API is at <code>/api/v1</code>;
its description is at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
<p>Looked for <code>{path}</code>.</p></body></html>
"""


def find(dist: Path, path: str) -> Path | None:
    """Return the file of the UI at `path`, None where there is none. Never leaves `dist`, not even by a link."""
    if "\0" in path or not path:
        return None
    root = dist.resolve()
    file = (root / path).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


def page(dist: Path) -> Response:
    """Return the UI's page, or one that says how to get it."""
    index = dist / "index.html"
    if not index.is_file():
        return Response(_HELP.format(path=html.escape(str(index))), 503, media_type="text/html")
    nonce = secrets.token_urlsafe(16)
    text = index.read_text(encoding="utf-8")
    if NONCE in text:
        text = text.replace(NONCE, nonce)
    else:
        text = text.replace("<head>", f'<head><meta property="csp-nonce" nonce="{nonce}">', 1)
    policy = POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return Response(text, media_type="text/html", headers=headers)


def _answer(dist: Path, path: str) -> Response:
    file = find(dist, path)
    if file is None or file.name == "index.html":
        return page(dist)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    headers = {"Cache-Control": HASHED if path.startswith("assets/") else "no-cache"}
    return Response(file.read_bytes(), media_type=kind, headers=headers)


def install(app: FastAPI, dist: Path = DIST) -> None:
    """Serve the UI of folder `dist` on every path that the API does not have."""

    @app.get("/{path:path}", include_in_schema=False)
    async def ui(request: Request, path: str) -> Response:
        if path == "api" or path.startswith("api/"):
            raise not_found(f"route {request.url.path[:200]}")
        return await run_in_threadpool(_answer, dist, path)
