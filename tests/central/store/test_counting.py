"""Counts that are kept for a while where counting takes long."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from central.store.counting import MOST_S, QUICK_S, SHARE, Lasting


class Counter:
    """Counts to one more each time, in `takes` seconds of a clock of its own."""

    def __init__(self, takes: float) -> None:
        self.now, self.takes, self.times, self.fails = 100.0, takes, 0, False

    async def __call__(self) -> int:
        if self.fails:
            raise OperationalError("SELECT", {}, Exception("away"))
        self.now += self.takes
        self.times += 1
        return self.times

    def made(self) -> Lasting[int]:
        return Lasting(self, lambda: self.now)


async def settled(count: Lasting[int]) -> int:
    """Return the answer once what was begun beside is over."""
    await count()
    while count._asking is not None:
        await asyncio.sleep(0)
    return await count()


async def test_lasting__what_is_quick_is_exact() -> None:
    counter = Counter(QUICK_S)
    count = counter.made()
    assert [await count() for _ in range(3)] == [1, 2, 3]


async def test_lasting__what_is_slow_is_kept_for_its_share_of_the_time() -> None:
    counter = Counter(1.0)
    count = counter.made()
    assert await count() == 1
    counter.now += 1.0 / SHARE - 0.1
    assert await settled(count) == 1
    counter.now += 0.2
    assert await count() == 1  # nobody waits for the new one
    assert await settled(count) == 2


async def test_lasting__no_answer_is_kept_for_longer_than_a_minute() -> None:
    counter = Counter(100.0)
    count = counter.made()
    await count()
    counter.now += MOST_S + 0.1
    assert await settled(count) == 2


async def test_lasting__the_old_answer_stays_where_counting_fails() -> None:
    counter = Counter(1.0)
    count = counter.made()
    await count()
    counter.now, counter.fails = counter.now + 100.0, True
    assert await settled(count) == 1
    counter.fails = False
    assert await settled(count) == 2


async def test_lasting__the_first_answer_fails_where_counting_does() -> None:
    counter = Counter(1.0)
    counter.fails = True
    with pytest.raises(OperationalError):
        await counter.made()()
