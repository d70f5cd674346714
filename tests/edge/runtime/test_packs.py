"""Finding packs by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.runtime import packs
from protocols import pack
from protocols.pack import Pack, PackError

Make = Callable[..., Pack]


def test_find__folder(make_pack: Make, tmp_path: Path) -> None:
    made = make_pack()
    assert packs.find(str(made.folder), tmp_path).address == made.address


def test_find__archive_is_unpacked_below_packs(make_pack: Make, tmp_path: Path) -> None:
    made = make_pack()
    file = tmp_path / "tiny.wpack"
    file.write_bytes(pack.archive(made))
    found = packs.find(str(file), tmp_path / "packs")
    assert found.folder == tmp_path / "packs" / made.address


def test_find__base(make_pack: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_pack()
    file = tmp_path / "base.wpack"
    file.write_bytes(pack.archive(made))
    monkeypatch.setattr(packs, "base_path", lambda: file)
    monkeypatch.chdir(tmp_path)
    assert packs.find("base", tmp_path / "packs").address == made.address


def test_base_path__beside_the_packages() -> None:
    path = packs.base_path()
    assert path.parts[-3:] == ("central", "zoo", "base.wpack")
    assert (path.parent.parent.parent / "edge").is_dir()


def test_find__base_that_is_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "base_path", lambda: tmp_path / "none.wpack")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackError, match="not in this installation"):
        packs.find("base", tmp_path)


def test_find__nothing(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no such pack"):
        packs.find(str(tmp_path / "nope"), tmp_path)
