"""Fetching over the link: deltas that resume, and a rate that is kept."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edge.update.fetchers import Pace, delta_part, part_path
from edge.update.fetchers.https import HttpsFetcher
from edge.update.fetchers.link import LinkFetcher
from protocols.messages import Chunk, Fetch
from protocols.transfer import NOT_THERE
from protocols.trust import TIME
from protocols.trust.verify import Approved, MissingError, UnreachableError

NEW = "b" * 64
NAME = f"deltas/{'a' * 32}.{NEW}"
DATA = bytes(range(256)) * 40


class Link:
    """A centre that answers up to byte `until`, and then is silent."""

    def __init__(self, data: Path, until: int = 1 << 30, **options: Any) -> None:
        self.fetcher = LinkFetcher(data, self.answer, **{"chunk": 1000, "timeout": 0.05, **options})
        self.until, self.asked = until, list[int]()

    def answer(self, fetch: Fetch) -> None:
        self.asked.append(fetch.offset)
        base: dict[str, Any] = {"request": fetch.request, "name": fetch.name, "offset": fetch.offset}
        if fetch.name.rpartition(".")[2] not in (NEW, f"packs/{NEW}"):
            self.fetcher.take(Chunk(**base, total=0, error=NOT_THERE))
        elif fetch.offset < self.until:
            data = DATA[fetch.offset : fetch.offset + fetch.length]
            self.fetcher.take(Chunk(**base, total=len(DATA), data=data))

    def delta(self, name: str = NAME, seconds: float = 10.0) -> Path:
        end = time.monotonic() + seconds
        return self.fetcher.delta(name, len(DATA), lambda _: None, lambda: time.monotonic() > end)


def test_delta__goes_on_behind_its_last_byte(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        Link(tmp_path, until=4000).delta(seconds=0.5)
    assert delta_part(tmp_path, NAME).stat().st_size == 4000
    again = Link(tmp_path)
    assert again.delta().read_bytes() == DATA
    assert min(again.asked) == 4000


def test_delta__whole_already(tmp_path: Path) -> None:
    assert Link(tmp_path).delta().read_bytes() == DATA
    assert Link(tmp_path).delta().read_bytes() == DATA


def test_delta__there_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        Link(tmp_path).delta(f"deltas/{'a' * 32}.{'c' * 64}")
    assert not list((tmp_path / "fetch").iterdir())


def test_parts__those_of_other_packs_go(tmp_path: Path) -> None:
    old = part_path(tmp_path, "c" * 64)
    old.write_bytes(b"x")
    mine = delta_part(tmp_path, NAME)
    mine.write_bytes(b"x")
    part_path(tmp_path, NEW).write_bytes(b"x")
    assert not old.exists() and mine.exists()


def test_fetch__keeps_to_its_rate(tmp_path: Path) -> None:
    link = Link(tmp_path, chunk=1000, rate=20_000)
    began = time.monotonic()
    link.fetcher.fetch(NEW, Approved(length=len(DATA), sha256=""), lambda _: None, lambda: False)
    assert time.monotonic() - began > 0.2, "10 KB at 20 KB per second, less what a window brings at once"


def test_pace__on_average() -> None:
    pace, now = Pace(1000), 0.0
    for _ in range(10):
        now += pace.left(now)
        pace.spent(500, now)
    assert now == pytest.approx(4.5)
    assert Pace(None).left(0.0) == 0.0


class Clock:
    """A link over which the centre tells the time, or nobody does."""

    def __init__(self, answer: bytes | None) -> None:
        self.told, self.taken = answer, list[Chunk]()

    def read(self, name: str, limit: int) -> bytes:
        if self.told is None:
            raise UnreachableError("planted")
        return self.told

    def take(self, chunk: Chunk) -> None:
        self.taken.append(chunk)


@pytest.mark.parametrize("told", [b"noon", None])
def test_https__the_centre_tells_the_time_over_the_link(tmp_path: Path, told: bytes | None) -> None:
    clock: Any = Clock(told)
    fetcher = HttpsFetcher(tmp_path, "http://127.0.0.1:1", link=clock)
    if told is None:
        with pytest.raises(MissingError):
            fetcher.read(f"{TIME}/{'0' * 32}", 100)
    else:
        assert fetcher.read(f"{TIME}/{'0' * 32}", 100) == told
    fetcher.take(Chunk(request="r", name="n", offset=0, total=0))
    assert len(clock.taken) == 1
    assert threading.active_count() < 20
