"""The bounds of the link, and a link without a broker."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from central import flow
from central.flow import Gate, UnderWay
from central.link import BrokerAddress, Link, LinkError
from protocols.codec import CodecError
from protocols.messages import Command, Policy, Receipt


def test_gate__bounds_and_gives_back() -> None:
    gate = Gate(100)
    assert gate.enter(60, 0)
    assert not gate.enter(60, 0.01)
    gate.leave(60)
    assert gate.enter(60, 0)
    assert gate.held == 60


def test_gate__something_larger_than_the_limit_passes_alone() -> None:
    gate = Gate(100)
    assert gate.enter(500, 0)
    assert not gate.enter(1, 0.01)


def test_gate__closing_sends_the_waiting_away() -> None:
    gate, results = Gate(100), list[bool]()
    gate.enter(100, 0)
    waiting = threading.Thread(target=lambda: results.append(gate.enter(1, 10)))
    waiting.start()
    began = time.monotonic()
    gate.close()
    waiting.join()
    assert results == [False]
    assert time.monotonic() - began < 1


def test_under_way__counts_until_acknowledged_also_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "OUT_BYTES", 100)
    under_way = UnderWay()
    under_way.sent(1, 80)
    assert not under_way.fits(30)
    under_way.acknowledged(1)
    assert under_way.fits(30)
    under_way.acknowledged(2)
    under_way.sent(2, 80)
    assert under_way.fits(100)


def link(port: int, **options: Any) -> Link:
    return Link(BrokerAddress("127.0.0.1", port), "wayside/v1", lambda _: None, **options)


@pytest.mark.asyncio
async def test_publish__without_a_connection_is_refused_and_counted() -> None:
    made = link(1)
    assert not made.publish("policy", "n", Policy(version=1))
    assert made.counters.refused == 1
    with pytest.raises(CodecError):
        made.publish("policy", "n", Receipt(ids=[]))
    with pytest.raises(LinkError, match="no connection"):
        await made.request("n", Command(id="1", action="pause"), 1)


@pytest.mark.asyncio
async def test_start__without_a_broker_keeps_trying(free_tcp_port: int) -> None:
    made = link(free_tcp_port)
    await made.start()
    with pytest.raises(LinkError, match="no connection within"):
        await made.wait_connected(0.3)
    await made.stop()


@pytest.mark.asyncio
async def test_start__a_port_that_hangs_up_is_no_broker() -> None:
    hung: list[int] = []

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung.append(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    made = link(server.sockets[0].getsockname()[1])
    await made.start()
    async with asyncio.timeout(30):  # a hang-up that paho misses costs a whole CONNECT_S
        while len(hung) < 2:
            await asyncio.sleep(0.02)
    assert not made.connected
    await made.stop()
    server.close()
    await server.wait_closed()


@pytest.fixture
def free_tcp_port() -> int:
    """A port where nothing listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
