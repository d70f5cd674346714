"""Telling other programs that something changed: a POST per place, to hosts that the settings name and no others.

change -> kinds that wait per place -> one POST with all of them, signed, no redirect followed, no answer read
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog
from sqlalchemy import select

from central.api.bus import subscribe
from central.notify import Notifier
from central.store.database import Database
from central.store.models import Webhook
from protocols.messages import utc_now

log = structlog.get_logger("central.api.webhooks")

GATHER_S: Final = 2.0
"""Changes within this time are told together: a busy street sends many frames a second."""
TIMEOUT_S: Final = 5.0
AT_ONCE: Final = 8
"""Places told at the same time; a slow one holds up no other."""
SIGNATURE: Final = "X-Wayside-Signature"


class HookError(ValueError):
    """A place that may not be told. The text says why, and what to do."""


def check(url: str, hosts: str) -> str:
    """Return `url` if its host is one of `hosts` (names, with commas, each with a port where it is not the usual one).

    Raises HookError.
    """
    allowed = {host.strip().lower() for host in hosts.split(",") if host.strip()}
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise HookError(f"url: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise HookError("url: give http:// or https://, and a host")
    if parts.username or parts.password:
        raise HookError("url: no name or password in it; what is sent is signed")
    named = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        named = f"{named}:{port}"
    if named not in allowed:
        names = ", ".join(sorted(allowed)) or "none yet"
        raise HookError(f"url: {named} is not allowed; allowed: {names} (WAYSIDE_WEBHOOK_HOSTS)")
    return url


def signature(secret: str, body: bytes) -> str:
    """Return what proves that `body` comes from here."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Hooks:
    """Tells every place of `database` until cancelled."""

    def __init__(self, database: Database, hosts: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._database, self._hosts, self._transport = database, hosts, transport
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, notifier: Notifier) -> None:
        """Tell what changes from now on."""
        with subscribe(notifier) as changes:
            while True:
                kinds = set(await changes.take())
                await asyncio.sleep(GATHER_S)
                await self.tell(kinds)

    async def tell(self, kinds: set[str]) -> None:
        """Tell `kinds` of change to every place that wants one of them, and keep how it went."""
        async with self._database.read() as session:
            hooks = [hook for hook in await session.scalars(select(Webhook)) if kinds & set(hook.kinds)]
        if not hooks:
            return
        async with httpx.AsyncClient(
            transport=self._transport, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False
        ) as client:
            outcomes = await asyncio.gather(*(self._post(client, hook, kinds) for hook in hooks))
        async with self._database.write() as session:
            for hook, outcome in zip(hooks, outcomes, strict=True):
                row = await session.get(Webhook, hook.id)
                if row is not None:
                    row.told_at, row.outcome = utc_now(), outcome

    async def _post(self, client: httpx.AsyncClient, hook: Webhook, kinds: set[str]) -> str:
        body = json.dumps({"at": utc_now().isoformat(), "kinds": sorted(kinds & set(hook.kinds))}).encode()
        headers = {"Content-Type": "application/json", SIGNATURE: signature(hook.secret, body)}
        try:
            check(hook.url, self._hosts)  # the settings may have changed since
            async with self._room, client.stream("POST", hook.url, content=body, headers=headers) as answer:
                return f"answered {answer.status_code}"
        except (HookError, httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("a webhook could not be told", hook=hook.id, reason=str(error)[:200])
            return f"failed: {str(error) or type(error).__name__}"[:300]
