"""ZIP files: unpacked, or refused."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from central.annotate.archive import opened
from central.annotate.formats import FormatError


def make(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return path


def test_opened__gives_what_is_inside(tmp_path: Path) -> None:
    with opened(make(tmp_path / "x.zip", a__b=b"1", c=b"2")) as folder:
        assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {"a/b", "c"}
    assert not folder.exists()


def test_opened__only_file_is_the_data_set(tmp_path: Path) -> None:
    with opened(make(tmp_path / "x.zip", a=b"1")) as file:
        assert file.read_bytes() == b"1"


def test_opened__anything_else_stays_where_it_is(tmp_path: Path) -> None:
    with opened(tmp_path / "x.json") as path:
        assert path == tmp_path / "x.json"


def link(path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc/passwd")


def bomb(path: Path) -> None:
    make(path, zeros=b"\0" * 20_000_000)


def liar(path: Path) -> None:
    make(path, a=b"x" * 1000)
    data = path.read_bytes()
    size = (1000).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (10).to_bytes(4, "little")))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: make(p, **{"..__x": b"1"}), "leads out"),
        (lambda p: make(p, __etc__x=b"1"), "leads out"),
        (lambda p: make(p, **{"..\\..\\x": b"1"}), "leads out"),
        (lambda p: make(p, **{"C:\\x": b"1"}), "leads out"),
        (lambda p: make(p, **{"C:x": b"1"}), "leads out"),
        (lambda p: make(p, **{"\\\\host\\x": b"1"}), "leads out"),
        (lambda p: make(p, **{"a__..__..__x": b"1"}), "leads out"),
        (link, "is a link"),
        (bomb, "would grow to"),
        (liar, "not a sound ZIP file"),
        (lambda p: p.write_bytes(b"PK\x03\x04 nonsense"), "not a sound ZIP file"),
        (lambda p: None, "No such file"),
    ],
)
def test_opened__refuses(tmp_path: Path, spoil: object, says: str) -> None:
    spoil(tmp_path / "x.zip")  # type: ignore[operator]
    with pytest.raises(FormatError, match=says), opened(tmp_path / "x.zip"):
        pass
    assert not list(Path("/etc").glob("x"))


def test_opened__names_that_count_for_nothing_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: whoever takes names as they are writes outside."""
    monkeypatch.setattr("central.annotate.archive.tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("central.annotate.archive.safe_name", lambda _path, name: name)
    with opened(make(tmp_path / "x.zip", **{"..__..__escaped": b"1"})):
        assert (tmp_path / "escaped").exists()
