"""SIGKILL of node, broker and centre at random under load: every spooled frame is stored exactly once.

The oracle knows each frame that a spool accepted. The same test with a planted bug must find that frames are missing.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system import rig
from tests.system.rig import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
FRAMES = 600
RATE = 30.0
"""Frames per second, about what the disk of a small machine takes."""
KILLS = 9
PAUSE_S = (0.5, 2.0)
"""Between two kills."""


@dataclass
class Sender:
    """The node, and the frames that it promised."""

    folder: Path
    port: int
    bug: bool = False
    process: rig.Process | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        words = [str(self.folder), str(self.port), rig.NODE_PASSWORD, str(FRAMES), str(RATE)]
        line = [sys.executable, "-m", "tests.faults.sender", *words, *(["--forgetful"] if self.bug else [])]
        self.process = rig.Process(line, self.folder / "sender.log")

    @property
    def promised(self) -> list[str]:
        path = self.folder / "spooled.txt"
        return path.read_text().split() if path.exists() else []

    def over(self) -> bool:
        assert self.process is not None
        return self.process.popen.poll() is not None


class Rig:
    """A centre with its own broker, and the sender."""

    def __init__(self, folder: Path, bug: bool = False) -> None:
        self.centre = rig.Centre(folder / "central", folder / "none.wpack", ("n1",))
        self.centre.start()
        self.sender = Sender(folder / "n1", self.centre.broker_port, bug)
        self.sender.start()

    def kill(self, what: str) -> None:
        """Kill one of the three, and start it again where nobody else does."""
        if what == "node":
            assert self.sender.process is not None
            self.sender.process.kill()
            self.sender.start()
        elif what == "centre":
            self.centre.kill()
            self.centre.start()
        else:
            pid = until(self.centre.broker_pid, "the broker does not come back")
            os.kill(pid, signal.SIGKILL)

    def stored(self) -> list[str]:
        """Return the ids of the frames that the centre has, as often as it has them."""
        return [row[0] for row in self.centre.rows("SELECT id FROM frame WHERE node = 'n1'")]

    def missing(self) -> set[str]:
        """Return the promised frames that are neither stored nor in the spool; in the order in which frames travel."""
        promised = set(self.sender.promised)
        waiting = {p.stem.split("-", 2)[2] for p in (self.sender.folder / "spool").glob("*.frame")}
        return promised - waiting - set(self.stored())

    def close(self) -> None:
        if self.sender.process is not None:
            self.sender.process.kill()
        self.centre.kill()
        if self.centre.client is not None:
            self.centre.client.close()


@pytest.fixture
def draw() -> random.Random:
    """Chance, whose seed is printed with a failure."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", seed)
    return random.Random(seed)


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A sound world, or one with the planted bug."""
    made = Rig(tmp_path, bool(getattr(request, "param", False)))
    yield made
    made.close()


def test_kills__of_all_three_lose_and_double_nothing(world: Rig, draw: random.Random) -> None:
    victims = ["node", "broker", "centre"] * (KILLS // 3)
    draw.shuffle(victims)
    for what in victims:
        time.sleep(draw.uniform(*PAUSE_S))
        print("kill", what, "after", len(world.sender.promised), "frames")
        world.kill(what)
    until(world.sender.over, f"the spool does not become empty: {world.missing()}", 120)
    assert world.sender.process is not None
    assert world.sender.process.popen.returncode == 0, world.sender.process.said[-2000:]
    assert len(world.sender.promised) >= FRAMES
    assert world.missing() == set()
    assert [frame for frame, times in Counter(world.stored()).items() if times > 1] == []
    places = world.centre.rows("SELECT boot, sequence FROM frame")
    assert len(set(places)) == len(places)
    for blob, size in world.centre.rows("SELECT blob, size_bytes FROM frame"):
        assert (world.centre.folder / "blobs" / blob).stat().st_size == size


@pytest.mark.parametrize("world", [True], indirect=True)
def test_kills__the_oracle_finds_frames_that_leave_the_spool_too_early(world: Rig, draw: random.Random) -> None:
    for _ in range(5):
        time.sleep(draw.uniform(*PAUSE_S))
        world.kill("centre")
        if world.missing():
            return
    assert world.missing(), "the planted bug was not found"
