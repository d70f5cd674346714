"""Centre, broker and node as processes of their own: what they do together, and what is left when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from protocols.pack import open_folder
from tests.system import rig
from tests.system.rig import World, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def runs(world: World, pack: str) -> bool:
    """Say whether the node says that it runs `pack`, and is online."""
    seen = world.centre.node("n1")
    return seen is not None and seen.pack == pack and seen.state == "online"


def current(world: World) -> str:
    """Return the pack that the node's pointer names, which must be there and whole."""
    address = (world.node.data / "current").read_text().strip()
    assert open_folder(world.node.data / "packs" / address).address == address
    return address


def release(world: World, pack: Path) -> str:
    """Release the pack in a file from the command line, beside the running centre; return its address."""
    done = rig.call("central", "release", pack, "--data", world.centre.folder, "--json")
    assert done.returncode == 0, done.stderr
    newest = world.centre.api.releases()[0]
    return newest.pack


def test_loop__from_frame_to_running_pack(own: World) -> None:
    world = own.running()
    world.more_frames(12)
    world.label(12)
    started = world.centre.api.start_round(1)
    until(lambda: world.centre.api.round(started.id).state in ("done", "failed"), "the round does not end", 200)
    done = world.centre.api.round(started.id)
    assert (done.state, done.frames) == ("done", 12), done.detail
    assert done.pack is not None
    number = world.centre.api.release(done.pack).number
    until(lambda: runs(world, str(done.pack)), "the node does not run the new pack")
    seen = world.centre.node("n1")
    assert seen is not None and seen.release == number
    assert current(world) == done.pack
    world.more_frames()
    assert world.centre.rows("SELECT pack FROM frame ORDER BY received_at DESC LIMIT 1") == [(done.pack,)]


def test_node__restart_keeps_the_pack(own: World, other_pack: Path) -> None:
    world = own.running()
    address = release(world, other_pack)
    until(lambda: runs(world, address), "the node does not run the released pack")
    fetched = (world.node.data / "packs" / address / "model.onnx").stat().st_mtime_ns
    assert world.node.stop() == 0
    until(lambda: (world.centre.node("n1") or 0) and not runs(world, address), "the node did not say goodbye")
    world.running()
    assert runs(world, address)
    assert current(world) == address
    assert (world.node.data / "packs" / address / "model.onnx").stat().st_mtime_ns == fetched
    world.more_frames()


def test_centre__killed_and_started_again_loses_nothing(own: World, other_pack: Path) -> None:
    world = own.running()
    release(world, other_pack)
    world.more_frames()
    world.label(2)
    before = world.centre.look()
    world.centre.kill()
    until(lambda: world.node.spooled, "the node does not go on while the centre is away")
    world.centre.start()
    after = world.centre.look()
    assert before is not None and after is not None
    assert after.totals.frames >= before.totals.frames
    assert after.totals.labelled == before.totals.labelled
    assert before.release is not None and after.release is not None
    assert (after.release.number, after.release.pack) == (before.release.number, before.release.pack)
    world.running().more_frames()
    world.accounted()


@pytest.mark.parametrize("which", ["own", "given"])
def test_broker__killed_and_back(which: str, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(which)
    world.running().more_frames()
    if world.broker is None:
        pid = world.centre.broker_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    else:
        os.killpg(world.broker.popen.pid, signal.SIGKILL)
        world.broker.popen.wait()
    until(lambda: world.node.spooled, "the node does not spool while the broker is away")
    if world.broker is not None:
        users = {"@centre": rig.NODE_PASSWORD, "n1": rig.NODE_PASSWORD}
        world.broker = rig.embedded_broker(world.broker.log.parent, world.node.broker_port, users)
    world.more_frames()
    world.accounted()


def test_node__killed_within_an_update_ends_on_a_whole_pack(own: World, pack: Path, other_pack: Path) -> None:
    world = own.running()
    if runs(world, release(world, other_pack)):
        world.more_frames()
    until(lambda: not world.node.journal.get("active"), "the update before does not end")
    address = release(world, pack)
    for step in ("checking", "shadowing"):
        until(lambda s=step: at(world, s), f"the update does not come to {step}")
        world.node.kill()
        if (world.node.data / "current").exists():
            current(world)
        world.node.start()
    until(lambda: runs(world, address), "the node does not end on the released pack")
    until(lambda: (world.node.journal.get("finished") or {}).get("step") == "committed", "the update does not end")
    assert current(world) == address
    world.more_frames()


def at(world: World, step: str) -> bool:
    """Say whether the update under way is at `step`, or there is none any more."""
    found = world.node.journal
    return (found.get("active") or {}).get("step") == step or (bool(found.get("finished")) and not found.get("active"))


def test_given_broker__is_the_embedded_one(given: World) -> None:
    assert given.centre.broker_pid() is None
    assert given.broker is not None
    line = subprocess.run(["ps", "-o", "args=", "--ppid", str(given.broker.popen.pid)], capture_output=True, text=True)
    assert "central.embedded" in line.stdout
