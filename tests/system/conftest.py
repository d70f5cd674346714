"""Packs and worlds that the tests of whole processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from central.embedded import CENTRE
from tests.system import rig


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small pack."""
    return rig.make_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="session")
def other_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of another one."""
    return rig.make_pack(tmp_path_factory.mktemp("pack"), "other", 1)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Iterator[rig.World]:
    """A centre with a broker of its own (Mosquitto where it is there), and a node."""
    folder = tmp_path_factory.mktemp("own")
    centre = rig.Centre(folder / "central", pack, ("n1",))
    world = rig.World(centre, rig.Node("n1", folder / "n1", centre.broker_port, pack))
    try:
        centre.start()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Iterator[rig.World]:
    """A centre that was given the embedded broker with --broker-url, and a node."""
    folder = tmp_path_factory.mktemp("given")
    port = rig.free_port()
    users = {CENTRE: rig.NODE_PASSWORD, "n1": rig.NODE_PASSWORD}
    url = f"mqtt://%40centre:{rig.NODE_PASSWORD}@127.0.0.1:{port}"
    centre = rig.Centre(folder / "central", pack, ("n1",), url)
    world = rig.World(centre, rig.Node("n1", folder / "n1", port, pack))
    try:
        world.broker = rig.embedded_broker(folder / "broker", port, users)
        centre.start()
        yield world
    finally:
        world.close()
