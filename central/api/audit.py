"""Writing down who changed what: plain ASGI, inside the guards, around the routes.

The entry is durable before the answer goes out. What is answered about frames is not noted here: each frame keeps its
own history, and a second commit for every label would only slow people down.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from central.api.context import Centre
from central.store.database import DatabaseError
from central.store.models import AuditEntry

log = structlog.get_logger("central.api.audit")

SAFE: Final = ("GET", "HEAD", "OPTIONS")
OWN_HISTORY: Final = ("/frames", "/queue", "/pairs")
"""Parts of the API that keep a history of their own, or change nothing that lasts."""
MAX_TARGET: Final = 300
"""Characters of a path that are kept."""
BELOW: Final = 500
"""A bug is in the log, and may be of the database that this is written to."""


class Audit:
    """The middleware, for what lies below `prefix`."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix
        self._silent = tuple(prefix + part for part in OWN_HISTORY)

    def _noted(self, scope: Scope) -> bool:
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] in SAFE or not path.startswith(self._prefix):
            return False
        return not path.startswith(self._silent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and note it where it changes something."""
        if not self._noted(scope):
            await self._app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < BELOW:
                await self._note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, noting)

    async def _note(self, scope: Scope, status: int) -> None:
        """Write the entry. An entry that cannot be written is logged: the change itself is done."""
        route: Any = scope.get("route")
        client = scope.get("client")
        entry = AuditEntry(
            by=str(scope.get("state", {}).get("person", ""))[:64], action=str(getattr(route, "name", ""))[:64],
            target=scope["path"].removeprefix(self._prefix)[:MAX_TARGET], status=status,
            address=str(client[0])[:64] if client else "",
        )  # fmt: skip
        centre: Centre = scope["app"].state.centre
        try:
            async with centre.database.write() as session:
                session.add(entry)
        except (SQLAlchemyError, DatabaseError, OSError) as error:
            log.error("an entry of the audit log is lost", action=entry.action, by=entry.by, reason=str(error)[:200])
