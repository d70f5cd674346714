"""Updates by delta: the same pack for fewer bytes, or the whole pack, whatever is wrong with the delta."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.update import pointer
from protocols import delta
from protocols import pack as packs
from protocols.messages import Release
from protocols.pack import Input, Manifest, Pack
from tests.edge.update.test_updater import World, install

COMMON = os.urandom(20_000)
"""What the packs of these tests share, and what no compression makes smaller."""


def make_pack(folder: Path, name: str) -> Pack:
    manifest = Manifest(name=name, labels=["car"], input=Input(height=64, width=64))
    return packs.create(folder / name, manifest, {"model.onnx": COMMON + name.encode()})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("tests.edge.update.test_updater.make_pack", make_pack)
    world = World(tmp_path)
    world.updater.start()
    yield world
    world.updater.stop()


@pytest.fixture
def first(world: World) -> Release:
    """The release that runs."""
    release = world.publish("first", 1)
    install(world, release)
    assert pointer.read(world.data, "current") == release.pack
    world.fetches.clear()
    return release


def shorten(world: World, old: Release, new: Release) -> str:
    """Put the delta where the centre has it; returns its name."""
    name = delta.file_name(old.pack, new.pack)
    opened = [packs.open_folder(world.folder / n) for n in ("first", "second")]
    world.archives[name] = delta.make(*opened)
    return name


def test_update__by_delta_alone(world: World, first: Release) -> None:
    second = world.publish("second", 2)
    name = shorten(world, first, second)
    whole = world.archives.pop(second.pack)
    install(world, second)
    assert world.steps[-1] == "committed"
    assert {fetch.name for fetch in world.fetches} == {name}
    assert packs.archive(packs.open_folder(world.data / "packs" / second.pack)) == whole
    assert len(world.archives[name]) < 0.1 * len(whole)
    assert not list((world.data / "fetch").iterdir())


Spoil = Callable[[World, str, Release], object]
SPOILED: dict[str, Spoil] = {
    "there is none": lambda w, name, r: w.archives.pop(name),
    "cut": lambda w, name, r: w.archives.update({name: w.archives[name][:-20]}),
    "junk": lambda w, name, r: w.archives.update({name: b"junk"}),
    "empty": lambda w, name, r: w.archives.update({name: b""}),
    "larger than the pack": lambda w, name, r: w.archives.update({name: os.urandom(40_000)}),
    "to another pack": lambda w, name, r: w.archives.update({name: delta.make(
        packs.open_folder(w.folder / "first"), make_pack(w.folder, "third"))}),
    "from another pack": lambda w, name, r: w.archives.update({name: delta.make(
        make_pack(w.folder, "third"), packs.open_folder(w.folder / "second"))}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_update__the_whole_pack_where_the_delta_does_not_serve(world: World, first: Release, name: str) -> None:
    second = world.publish("second", 2)
    SPOILED[name](world, shorten(world, first, second), second)
    install(world, second)
    assert world.steps[-1] == "committed"
    assert pointer.read(world.data, "current") == second.pack
    assert f"packs/{second.pack}" in {fetch.name for fetch in world.fetches}


def test_update__what_was_not_signed_is_not_made_of_a_delta_either(world: World, first: Release) -> None:
    """The delta is whole and leads to the announced pack, yet another archive was signed for it."""
    second = world.publish("second", 2)
    shorten(world, first, second)
    world.archives[second.pack] = world.archives[second.pack] + b"x"
    world.signed[second.pack] = world.signed[first.pack]
    install(world, second)
    assert world.steps[-1] == "rolled-back"
    assert pointer.read(world.data, "current") == first.pack


def test_update__the_running_pack_is_damaged_on_disk(world: World, first: Release) -> None:
    second = world.publish("second", 2)
    shorten(world, first, second)
    (world.data / "packs" / first.pack / "model.onnx").write_bytes(b"rotten")
    install(world, second)
    assert world.steps[-1] == "committed"
    assert {fetch.name for fetch in world.fetches} == {f"packs/{second.pack}"}


@pytest.mark.parametrize("left", [".tried", ".part"])
def test_update__what_an_earlier_life_left(world: World, first: Release, left: str) -> None:
    """A delta that ended the node is not met again; a whole pack that is under way goes on."""
    second = world.publish("second", 2)
    shorten(world, first, second)
    (world.data / "fetch" / f"{second.pack}{left}").write_bytes(world.archives[second.pack][:3000])
    install(world, second)
    assert world.steps[-1] == "committed"
    assert {fetch.name for fetch in world.fetches} == {f"packs/{second.pack}"}
    assert min(fetch.offset for fetch in world.fetches) == (3000 if left == ".part" else 0)
