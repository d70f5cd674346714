"""Answering nodes that fetch: each in its turn, none faster than it may."""

from __future__ import annotations

import asyncio
from pathlib import Path

from central.releases.transfer import BURST_S, PER_NODE, Rates, Transfer
from protocols.messages import Chunk, Fetch, Message


class Outbox:
    """A link that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Chunk]] = []

    def publish(self, channel: str, node: str, message: Message) -> bool:
        assert isinstance(message, Chunk)
        self.sent.append((node, message))
        return True


def fetch(offset: int = 0, length: int = 1) -> Fetch:
    return Fetch(request="r", name="packs/x", offset=offset, length=length)


async def answered(transfer: Transfer, outbox: Outbox, count: int) -> None:
    task = asyncio.create_task(transfer.run())
    async with asyncio.timeout(10):
        while len(outbox.sent) < count:
            await asyncio.sleep(0.005)
    task.cancel()


async def test_ask__no_node_has_more_waiting_than_it_may(tmp_path: Path) -> None:
    outbox = Outbox()
    transfer = Transfer(tmp_path, outbox)
    for offset in range(PER_NODE + 3):
        transfer.ask("greedy", fetch(offset))
    transfer.ask("other", fetch())
    await answered(transfer, outbox, PER_NODE + 1)
    assert transfer.counters.dropped == 3
    assert [node for node, _ in outbox.sent].count("greedy") == PER_NODE


async def test_ask__what_waits_already_is_not_answered_twice(tmp_path: Path) -> None:
    outbox = Outbox()
    transfer = Transfer(tmp_path, outbox)
    transfer.ask("n", fetch(7))
    transfer.ask("n", fetch(7))
    await answered(transfer, outbox, 1)
    assert (len(outbox.sent), transfer.counters.dropped) == (1, 1)
    transfer.ask("n", fetch(7))
    await answered(transfer, outbox, 2)


async def test_ask__a_node_that_had_its_share_holds_up_nobody(tmp_path: Path) -> None:
    outbox = Outbox()
    transfer = Transfer(tmp_path, outbox, rate=1000, clock=lambda: 0.0)
    for offset in range(4):
        transfer.ask("fast", fetch(offset, 1050))
    transfer.ask("other", fetch(0, 10))
    await answered(transfer, outbox, 3)
    assert [node for node, _ in outbox.sent] == ["fast", "fast", "other"]
    await answered(transfer, outbox, 4)


def test_rates__no_more_than_the_rate_in_the_long_run() -> None:
    rates, now, size = Rates(1000), 0.0, 500
    for _ in range(100):
        now += rates.wait("n", size, now)
    assert 100 * size <= 1000 * (now + BURST_S) + size
    assert now > 40


def test_rates__each_node_has_its_own_and_none_without_a_rate() -> None:
    rates = Rates(1000)
    for _ in range(10):
        rates.wait("busy", 1000, 0.0)
    assert rates.wait("other", 1000, 0.0) == 0.0
    assert rates.wait("busy", 1000, 0.0) == 8.0
    assert Rates(None).wait("n", 1 << 40, 0.0) == 0.0
