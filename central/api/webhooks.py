"""Telling other programs that something changed: a POST per place, to hosts that the settings name and no others.

change -> kinds that wait per place -> one POST with all of them, signed, no redirect followed, no answer read

A name is looked up once for each call and what it stands for is what is called. A name that stands for this machine, or
for what a link only reaches (a cloud's metadata), is called by nobody: whoever owns a name may point it anywhere. Who
means this machine allows ``localhost`` or an address.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import httpx
import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

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
MOST: Final = 50
"""Places in all."""
_STRANGE: Final = re.compile(r"[^!-\[\]-~]")
"""What no URL has and programs read differently: spaces, control and other letters, backslashes."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class HookError(ValueError):
    """A place that may not be told. The text says why, and what to do."""


def check(url: str, hosts: str) -> str:
    """Return `url` if its host is one of `hosts` (names, with commas, each with a port where it is not the usual one).

    Raises HookError.
    """
    allowed = {host.strip().lower() for host in hosts.split(",") if host.strip()}
    if _STRANGE.search(url):
        raise HookError("url: it has a space, a backslash or another sign that does not belong there")
    try:
        parts = httpx.URL(url)  # by the one that calls it, so that nobody reads it in two ways
    except httpx.InvalidURL as error:
        raise HookError(f"url: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.raw_host:
        raise HookError("url: give http:// or https://, and a host")
    if parts.userinfo:
        raise HookError("url: no name or password in it; what is sent is signed")
    named = parts.netloc.decode("ascii").lower()
    if named not in allowed:
        names = ", ".join(sorted(allowed)) or "none yet"
        raise HookError(f"url: {named} is not allowed; allowed: {names} (WAYSIDE_WEBHOOK_HOSTS)")
    return url


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return `address` without the ways to write an IPv4 address as an IPv6 one. Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return found.ipv4_mapped or found.sixtofour or found
    return found


def choose(host: str, addresses: Sequence[str]) -> str:
    """Return the one of `addresses`, which the name `host` stands for, that may be called. Raises HookError."""
    if not addresses:
        raise HookError(f"{host}: nobody knows this name")
    literal = host.lower() == "localhost" or _is_address(host)
    for address in addresses:
        found = _plain(address)
        near = found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
        if near and not literal:
            raise HookError(f"{host} stands for {address}, which a name may not; allow that address itself")
    return addresses[0]


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


async def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses that `host` stands for now."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return list(dict.fromkeys(str(row[4][0]) for row in found))


async def add(session: AsyncSession, url: str, kinds: Sequence[str], by: str, hosts: str) -> Webhook:
    """Add a place in the open write transaction, with a new secret. Raises HookError."""
    url = check(url, hosts)
    count = await session.scalar(select(func.count()).select_from(Webhook)) or 0
    if count >= MOST:
        raise TooManyError(f"there are {count} webhooks; remove one first")
    row = Webhook(url=url, kinds=list(dict.fromkeys(kinds)), secret=secrets.token_urlsafe(32), by=by)
    session.add(row)
    await session.flush()
    return row


class TooManyError(HookError):
    """As many places as may be are told already."""


def signature(secret: str, body: bytes) -> str:
    """Return what proves that `body` comes from here."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Hooks:
    """Tells every place of `database` until cancelled."""

    def __init__(
        self, database: Database, hosts: str, transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = look_up,
    ) -> None:  # fmt: skip
        self._database, self._hosts, self._transport, self._resolve = database, hosts, transport, resolve
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, notifier: Notifier) -> None:
        """Tell what changes from now on."""
        with subscribe(notifier) as changes:
            while True:
                kinds = set(await changes.take())
                if changes.ended:
                    return
                await asyncio.sleep(GATHER_S)
                await self.tell(kinds)

    async def tell(self, kinds: set[str]) -> None:
        """Tell `kinds` of change to every place that wants one of them, and keep how it went."""
        async with self._database.read() as session:
            hooks = [hook for hook in await session.scalars(select(Webhook)) if kinds & set(hook.kinds)]
        if hooks:
            await self._call(hooks, kinds)

    async def test(self, number: int) -> Webhook | None:
        """Tell place `number` of no kind of change, now; return it with how that went, None where it is not there."""
        async with self._database.read() as session:
            hook = await session.get(Webhook, number)
        if hook is not None:
            await self._call([hook], set())
            async with self._database.read() as session:
                return await session.get(Webhook, number)
        return None

    async def _call(self, hooks: Sequence[Webhook], kinds: set[str]) -> None:
        async with httpx.AsyncClient(
            transport=self._transport, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False
        ) as client:
            outcomes = await asyncio.gather(*(self._post(client, hook, kinds) for hook in hooks))
        async with self._database.write() as session:
            for hook, outcome in zip(hooks, outcomes, strict=True):
                row = await session.get(Webhook, hook.id)
                if row is not None:
                    row.told_at, row.outcome = utc_now(), outcome

    async def _place(self, text: str) -> tuple[httpx.URL, dict[str, str]]:
        """Return the URL to call, with an address for its name, and the name for those who ask. Raises HookError."""
        url = httpx.URL(check(text, self._hosts))  # the settings may have changed since
        name = url.raw_host.decode("ascii")
        found = await asyncio.wait_for(self._resolve(name, url.port or 0), TIMEOUT_S)
        return url.copy_with(host=choose(name, found)), {"host": url.netloc.decode("ascii"), "sni": name}

    async def _post(self, client: httpx.AsyncClient, hook: Webhook, kinds: set[str]) -> str:
        body = json.dumps({"at": utc_now().isoformat(), "kinds": sorted(kinds & set(hook.kinds))}).encode()
        headers = {"Content-Type": "application/json", SIGNATURE: signature(hook.secret, body)}
        try:
            async with self._room:
                url, names = await self._place(hook.url)
                headers["Host"], more = names["host"], {"sni_hostname": names["sni"]}
                async with client.stream("POST", url, content=body, headers=headers, extensions=more) as answer:
                    return f"answered {answer.status_code}"
        except (HookError, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            log.warning("a webhook could not be told", hook=hook.id, reason=str(error)[:200])
            return f"failed: {str(error) or type(error).__name__}"[:300]
