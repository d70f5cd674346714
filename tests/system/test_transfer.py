"""A pack on a slow link, while node, broker and centre die in turn: it goes on behind its last byte."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edge.update import pointer
from tests.system import rig
from tests.system.rig import World, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
RATE = 50_000
"""Bytes per second: a dozen seconds for a pack."""


class Part:
    """How much of a pack is there; it never gets less."""

    def __init__(self, world: World, address: str, size: int) -> None:
        self._path = world.node.data / "fetch" / f"{address}.part"
        self._done = world.node.data / pointer.PACKS / address
        self._size, self.seen = size, 0

    def grows(self) -> None:
        """Wait until more of it is there."""
        before = self.seen
        until(lambda: self._look() > before, "nothing more is fetched")

    def _look(self) -> int:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            size = self._size if self._done.is_dir() else 0
        assert size >= self.seen or not self.seen, "it began anew"
        self.seen = max(self.seen, size)
        return self.seen


def test_transfer__survives_node_broker_and_centre(own: World, other_pack: Path) -> None:
    own.node.rate = RATE
    world = own.running()
    done = rig.call("central", "release", other_pack, "--data", world.centre.folder, "--json")
    assert done.returncode == 0, done.stderr
    address = world.centre.api.releases()[0].pack
    part = Part(world, address, other_pack.stat().st_size)
    part.grows()
    world.node.kill()
    world.node.start()
    part.grows()
    broker = world.centre.broker_pid()
    assert broker is not None
    os.kill(broker, signal.SIGKILL)
    part.grows()
    world.centre.kill()
    world.centre.start()
    part.grows()
    until(lambda: pointer.read(world.node.data, pointer.CURRENT) == address, "the pack is not installed", 200)
    until(lambda: (world.node.journal.get("finished") or {}).get("step") == "committed", "the update does not end")
    world.more_frames()
