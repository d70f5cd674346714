"""A thread of its own for each camera, over cameras that misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from edge.sources import Frame, Source, SourceError
from edge.sources import reader as module
from edge.sources.reader import BACKOFF_CAP_S, QUEUE, Reader, backoff_s

PICTURE = np.zeros((8, 8, 3), np.uint8)


class World:
    """Cameras as a test wants them: `scripts` is what each opening gives, the last one for ever."""

    def __init__(
        self, *scripts: Callable[[], Iterator[Frame]] | Exception, live: bool = True, recorded: bool = False
    ) -> None:
        self.scripts, self.live, self.recorded = list(scripts), live, recorded
        self.opened = self.closed = 0
        self.rate: float | None = None

    def open(self, source: str, camera: str, **options: Any) -> Source:
        self.opened += 1
        script = self.scripts[min(self.opened, len(self.scripts)) - 1]
        if isinstance(script, Exception):
            raise script
        self.frames = script  # type: ignore[method-assign]
        return self

    def close(self) -> None:
        self.closed += 1

    def frames(self) -> Iterator[Frame]:
        raise NotImplementedError


def some(count: int, gap: float = 0.0) -> Callable[[], Iterator[Frame]]:
    def run() -> Iterator[Frame]:
        for index in range(count):
            time.sleep(gap)
            yield Frame.now(PICTURE, "c", index)

    return run


def then_gone(count: int, error: Exception) -> Callable[[], Iterator[Frame]]:
    def run() -> Iterator[Frame]:
        yield from some(count)()
        raise error

    return run


def until(condition: Callable[[], bool], timeout: float = 3.0) -> bool:
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[World], Reader]]:
    monkeypatch.setattr(module, "BACKOFF_BASE_S", 0.005)
    readers: list[Reader] = []

    def build(world: World) -> Reader:
        reader = Reader("rtsp://me:secret@camera/1", "c", opener=world.open, random=Random(1))
        readers.append(reader)
        reader.start()
        return reader

    yield build
    for reader in readers:
        reader.close()
        assert until(lambda r=reader: not r.alive)  # type: ignore[misc]


def test_live__newest_frame_wins(make: Callable[[World], Reader]) -> None:
    reader = make(World(some(10), some(10**6, 0.05)))
    assert until(lambda: reader.frames >= 10)
    frame = reader.get(1)
    assert frame is not None and frame.index in (9, 0)
    assert reader.dropped >= 9


def test_file__loses_nothing_and_waits(make: Callable[[World], Reader]) -> None:
    reader = make(World(some(30), live=False, recorded=True))
    time.sleep(0.05)
    assert reader.frames <= QUEUE + 1
    got = [frame.index for frame in iter(lambda: reader.get(1), None)]
    assert got == list(range(30))
    assert (reader.state, reader.over, reader.dropped) == ("ended", True, 0)


def test_live__comes_back_after_it_went_away(make: Callable[[World], Reader]) -> None:
    world = World(then_gone(3, SourceError("gone")), SourceError("down"), SourceError("down"), some(10**6, 0.01))
    reader = make(world)
    assert until(lambda: reader.frames > 5)
    assert reader.state == "watching"
    assert world.opened == 4


@pytest.mark.parametrize("error", [SourceError("refused"), RuntimeError("driver"), OSError("cable")])
def test_live__an_error_never_ends_the_thread(make: Callable[[World], Reader], error: Exception) -> None:
    world = World(error)
    reader = make(world)
    assert until(lambda: world.opened > 5)
    assert reader.alive and reader.state == "connecting"
    assert "trying again in" in reader.detail
    assert reader.get(0.01) is None and not reader.over


def test_unexpected_error__never_shows_credentials(make: Callable[[World], Reader]) -> None:
    reader = make(World(RuntimeError("rtsp://me:secret@camera/1 broke")))
    assert until(lambda: "RuntimeError" in reader.detail)
    assert "secret" not in reader.detail + reader.public_source


def test_lasting_error__fails(make: Callable[[World], Reader]) -> None:
    world = World(SourceError("x.mp4: no such file", lasting=True))
    reader = make(world)
    assert until(lambda: reader.over)
    assert (reader.state, reader.detail, world.opened) == ("failed", "x.mp4: no such file", 1)


def test_truncated__frames_first_then_failed(make: Callable[[World], Reader]) -> None:
    reader = make(World(then_gone(5, SourceError("truncated", lasting=True)), live=False, recorded=True))
    assert len(list(iter(lambda: reader.get(1), None))) == 5
    assert (reader.state, reader.over) == ("failed", True)


def test_pause__live_camera_is_closed_and_opened_again(make: Callable[[World], Reader]) -> None:
    world = World(some(10**6, 0.005))
    reader = make(world)
    assert until(lambda: reader.state == "watching")
    reader.pause()
    assert until(lambda: world.closed == 1)
    assert reader.state == "paused" and reader.get(0.05) is None
    reader.resume()
    assert reader.get(2) is not None
    assert until(lambda: reader.state == "watching") and world.opened == 2


def test_pause__recording_stands_still(make: Callable[[World], Reader]) -> None:
    world = World(some(2000, 0.002), live=True, recorded=True)
    reader = make(world)
    assert until(lambda: reader.frames > 3)
    reader.pause()
    time.sleep(0.05)
    before = reader.frames
    time.sleep(0.05)
    assert reader.frames == before and reader.state == "paused"
    reader.resume()
    assert until(lambda: reader.frames > before) and world.opened == 1


def test_close__while_the_queue_is_full(make: Callable[[World], Reader]) -> None:
    reader = make(World(some(10**6), live=False, recorded=True))
    assert until(lambda: reader.frames >= QUEUE)
    reader.close()
    assert until(lambda: not reader.alive)
    reader.close()


def test_close__before_it_was_started() -> None:
    Reader("street:", "c").close()


def test_one_hanging_camera__does_not_delay_another(make: Callable[[World], Reader]) -> None:
    stuck = threading.Event()

    def hang() -> Iterator[Frame]:
        stuck.wait(5)
        return
        yield

    make(World(hang))
    other = make(World(some(10**6, 0.002)))
    assert until(lambda: other.frames > 50)
    stuck.set()


def test_stalled__a_live_camera_whose_thread_hangs(make: Callable[[World], Reader]) -> None:
    stuck = threading.Event()

    def hang() -> Iterator[Frame]:
        yield from some(3)()
        stuck.wait(5)

    reader = make(World(hang))
    assert until(lambda: reader.frames == 3)
    now = time.monotonic()
    assert not reader.stalled(now)
    assert reader.stalled(now + module.STALL_S + 1)
    reader.rate = 0.1
    assert not reader.stalled(now + module.STALL_S + 1), "ten of its periods are longer"
    reader.pause()
    assert not reader.stalled(now + 1000)
    stuck.set()


def test_stalled__not_a_recording(make: Callable[[World], Reader]) -> None:
    reader = make(World(some(10**6), live=False, recorded=True))
    assert until(lambda: reader.frames > 0)
    assert not reader.stalled(time.monotonic() + 1000)


def test_backoff__full_jitter_under_the_cap() -> None:
    waits = [backoff_s(attempt, Random(attempt)) for attempt in range(1, 500)]
    assert min(waits) >= 0 and max(waits) <= BACKOFF_CAP_S
    assert max(waits) - min(waits) > 0.8 * BACKOFF_CAP_S


def test_real_file__end_to_end(video: Path) -> None:
    reader = Reader(str(video), "c")
    reader.start()
    assert len(list(iter(lambda: reader.get(2), None))) == 40
    assert reader.over and reader.state == "ended"
    reader.close()
