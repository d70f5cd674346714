"""What the centre may be made to call: webhooks alone, at hosts that the settings name (P20)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from central.api import webhooks
from central.api.webhooks import HookError, Hooks, check, choose
from central.store.models import Webhook
from tests.central.api.conftest import World

HOSTS = "hooks.example, hooks.example:8443"


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "http://0/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[fe80::1%25eth0]/",
        "http://localhost/", "http://localhost./", "http://hooks.example./", "http://hooks.example.evil.example/",
        "http://hooks.example@evil.example/", "http://evil.example#@hooks.example/", "http://evil.example?hooks.example",
        "http://hooks.example\\@evil.example/", "http://hooks.example\t.evil.example/", "http://hooks.example\n/",
        "http://hooks.example\r\nX: y/", "http://hooks\u3002example/", "http://\uff48ooks.example/",
        "http://hooks.example:22/", "http://hooks.example:08443x/", "https:hooks.example", "file:///etc/passwd",
        "gopher://hooks.example/", "//hooks.example/", "http:///hooks.example", "",
    ],
)  # fmt: skip
def test_check__nothing_passes_for_an_allowed_host(url: str) -> None:
    with pytest.raises(HookError):
        check(url, HOSTS)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "fe80::1%2", "224.0.0.1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::1",
    ],
)  # fmt: skip
def test_choose__a_name_stands_for_no_neighbour(address: str) -> None:
    with pytest.raises(HookError, match="which a name may not"):
        choose("hooks.example", ["192.0.2.7", address])


def test_choose__addresses_and_localhost_mean_themselves() -> None:
    assert choose("127.0.0.1", ["127.0.0.1"]) == "127.0.0.1"
    assert choose("localhost", ["::1", "127.0.0.1"]) == "::1"
    assert choose("hooks.example", ["10.1.2.3"]) == "10.1.2.3"
    with pytest.raises(HookError, match="nobody knows"):
        choose("hooks.example", [])


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on this machine; gives its port and the requests that it got."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], got


async def told(world: World, url: str, hosts: str, resolve: Any = webhooks.look_up) -> str:
    """Add a place as an admin of the database would, tell it, and return how that went."""
    async with world.centre.database.write() as session:
        session.add(row := Webhook(url=url, kinds=["round"], secret="s", by="admin"))
        await session.flush()
        number = row.id
    hook = await Hooks(world.centre.database, hosts, resolve=resolve).test(number)
    assert hook is not None
    return hook.outcome


async def test_hooks__a_redirect_leads_nowhere(world: World) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (inside, secret):
        away = f"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:{inside}/\r\ncontent-length: 0\r\n\r\n".encode()
        async with listening(away) as (port, got):
            outcome = await told(world, f"http://127.0.0.1:{port}/a", f"127.0.0.1:{port}")
    assert outcome == "answered 307" and len(got) == 1 and secret == []


async def test_hooks__a_name_that_moves_is_called_where_it_was_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the first answer is harmless, each later one is this machine."""
    asked: list[str] = []

    async def moving(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    async with listening(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (port, got):
        url, hosts = f"http://hooks.example:{port}/", f"hooks.example:{port}"
        monkeypatch.setattr(webhooks, "choose", lambda _host, found: found[0])  # as if 127.0.0.2 were far away
        assert (await told(world, url, hosts, moving)).startswith("failed")
        assert (asked, got) == (["hooks.example"], [])
        assert await told(world, url, hosts, moving) == "answered 200"  # the twin: nobody looks at what it stands for
        assert b"host: hooks.example:" in got[0].lower()
        monkeypatch.undo()
        assert "which a name may not" in await told(world, url, hosts, moving)
    assert len(got) == 1
