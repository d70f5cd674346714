"""A round at a real server: nobody who works there notices it, and a server that is killed goes on with it."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from central.annotate.profile import EDITED
from central.api.schemas import RoundView
from tests.central.learn.conftest import draw
from tests.central.learn.labelled import fill, packed, profile, smallest
from tests.system import rig
from tests.system.rig import until

pytestmark = [pytest.mark.system]
ASKED = 30
"""Requests that a median is of."""
MOST = 4.0
"""Times as long as while the server has nothing else to do, on two cores that tests share."""
PAUSE_S = 0.02


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.Centre]:
    """A centre with frames to learn from."""
    folder = tmp_path_factory.mktemp("rounds")
    data = folder / "central"
    data.mkdir()
    asyncio.run(fill(data, [draw(folder / f"{i}.jpg", i) for i in range(40)]))
    (data / EDITED).write_text(profile(folder).read_text() + "base: street\n")
    made = packed(smallest(), folder / "first")[1]
    running = rig.Centre(data, made.folder, ())
    try:
        yield running.start()
    finally:
        running.kill()
        if running.client is not None:
            running.client.close()


def typical(centre: rig.Centre) -> float:
    """Return the median seconds of an answer."""
    times = []
    for _ in range(ASKED):
        start = time.monotonic()
        centre.api.overview()
        times.append(time.monotonic() - start)
        time.sleep(PAUSE_S)
    return statistics.median(times)


def training(centre: rig.Centre, round_id: str, beyond: float = 0.1) -> bool:
    """Say whether the round trains, and got so far."""
    seen = centre.api.round(round_id)
    assert seen.state != "failed", seen.detail
    return seen.state == "training" and seen.progress > beyond


def ended(centre: rig.Centre, round_id: str) -> RoundView | None:
    """Return the round once it is over."""
    seen = centre.api.round(round_id)
    return seen if seen.state in ("done", "failed") else None


@contextmanager
def blocked(pid: int) -> Iterator[None]:
    """Have the process `pid` stand still most of the time, as a server would that trains by itself."""
    over = threading.Event()

    def hold() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            over.wait(0.3)
            os.kill(pid, signal.SIGCONT)
            over.wait(0.02)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_round__nobody_notices_it_and_it_goes_on_after_a_kill(centre: rig.Centre) -> None:
    calm = typical(centre)
    started = centre.api.start_round(20).id
    until(lambda: training(centre, started), "the round does not train")
    busy = typical(centre)
    assert training(centre, started), "it was over before it was measured"
    print(f"overview: {1000 * calm:.1f} ms idle, {1000 * busy:.1f} ms while a round trains")
    assert busy / calm < MOST
    assert centre.process is not None
    centre.process.kill()
    centre.start()
    done = until(lambda: ended(centre, started), "it does not end")
    assert (done.state, done.starts) == ("done", 2), done.detail
    assert Path(centre.folder / "rounds" / started / "report.html").is_file()
    assert len(centre.rows("SELECT address FROM snapshot")) == 1
    with blocked(centre.process.popen.pid):  # the bug that the figure is for
        assert typical(centre) / calm > MOST
