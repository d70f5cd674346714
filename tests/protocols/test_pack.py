"""Packs: equal content is an equal address, and nothing that is not whole is opened."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import pack as packs
from protocols.pack import Input, Manifest, Pack, PackError

MANIFEST = Manifest(name="toy", labels=["car"], input=Input(height=64, width=64))
CONTENTS = {"model.onnx": b"graph" * 100, "parity.npz": b"arrays"}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return packs.create(tmp_path / "pack", MANIFEST, CONTENTS)


@pytest.fixture
def archive(pack: Pack, tmp_path: Path) -> Path:
    path = tmp_path / "toy.wpack"
    path.write_bytes(packs.archive(pack))
    return path


def test_archive__round_trip_keeps_the_address(pack: Pack, archive: Path, tmp_path: Path) -> None:
    again = packs.unpack(archive, tmp_path / "packs")
    assert again.address == pack.address == packs.address_of(pack.manifest)
    assert packs.archive(again) == archive.read_bytes()


def test_unpack__twice_is_once(archive: Path, tmp_path: Path) -> None:
    first = packs.unpack(archive, tmp_path / "packs")
    assert packs.unpack(archive, tmp_path / "packs") == first
    assert [p.name for p in (tmp_path / "packs").iterdir()] == [first.address]


def test_unpack__repairs_a_damaged_folder(archive: Path, tmp_path: Path) -> None:
    first = packs.unpack(archive, tmp_path / "packs")
    first.path("model.onnx").write_bytes(b"graph" * 99)
    assert packs.unpack(archive, tmp_path / "packs").path("model.onnx").read_bytes() == CONTENTS["model.onnx"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_read_archive__truncated_or_flipped(archive: Path, data: st.DataObject) -> None:
    whole = bytearray(archive.read_bytes())
    if data.draw(st.booleans()):
        damaged = bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
        damaged = bytes(whole)
    path = archive.with_name("damaged.wpack")
    path.write_bytes(damaged)
    try:
        manifest, _, contents = packs.read_archive(path)
    except PackError:
        return
    # Not every bit of a zip is content (dates, attributes); whatever opens must be the same content.
    assert contents == CONTENTS
    assert manifest == packs.encode_manifest(packs.decode_manifest(manifest))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=500))
def test_read_archive__arbitrary_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.wpack"
    path.write_bytes(data)
    with pytest.raises(PackError):
        packs.read_archive(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=500))
def test_decode_manifest__arbitrary_bytes(data: bytes) -> None:
    with pytest.raises(PackError):
        packs.decode_manifest(data)


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in members:
            target.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return buffer.getvalue()


def renamed(manifest: bytes) -> bytes:
    return zipped(
        [("manifest.json", manifest), ("other.onnx", CONTENTS["model.onnx"]), ("parity.npz", CONTENTS["parity.npz"])]
    )


def climbing(manifest: bytes) -> bytes:
    text = manifest.replace(b"model.onnx", b"../evil.on")
    return zipped(
        [("manifest.json", text), ("../evil.on", CONTENTS["model.onnx"]), ("parity.npz", CONTENTS["parity.npz"])]
    )


def bomb(manifest: bytes) -> bytes:
    return zipped([("manifest.json", manifest), ("model.onnx", bytes(50_000_000))], zipfile.ZIP_DEFLATED)


def twice(manifest: bytes) -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return zipped([("manifest.json", manifest), *CONTENTS.items(), ("model.onnx", b"other")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (renamed, "name different files"),
        (climbing, "not allowed"),
        (bomb, "compressed"),
        (twice, "one twice"),
        (lambda m: zipped([("manifest.json", m)]), "name different files"),
        (lambda m: zipped(list(CONTENTS.items())), "no manifest.json"),
        (lambda m: zipped([("manifest.json", m), *CONTENTS.items(), ("more", b"")]), "name different files"),
        (lambda m: zipped([("manifest.json", m), *[(f"f{i}", b"") for i in range(40)]]), "too many members"),
        (lambda m: zipped([("manifest.json", bytes(300_000)), *CONTENTS.items()]), "more than"),
        (
            lambda m: zipped([("manifest.json", m), ("model.onnx", b"short"), ("parity.npz", b"arrays")]),
            "the manifest says",
        ),
        (
            lambda m: zipped([("manifest.json", m), ("model.onnx", b"x" * 500), ("parity.npz", b"arrays")]),
            "does not match",
        ),
    ],
)
def test_read_archive__hostile(pack: Pack, tmp_path: Path, make: Callable[[bytes], bytes], said: str) -> None:
    path = tmp_path / "hostile.wpack"
    path.write_bytes(make(packs.encode_manifest(pack.manifest)))
    with pytest.raises(PackError, match=said):
        packs.unpack(path, tmp_path / "packs")
    assert not list(tmp_path.glob("**/evil*"))


def test_open_folder__a_link_is_refused(pack: Pack, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENTS["model.onnx"])
    (pack.folder / "model.onnx").unlink()
    (pack.folder / "model.onnx").symlink_to(secret)
    with pytest.raises(PackError, match="plain file"):
        packs.open_folder(pack.folder)


def test_open_folder__a_changed_byte(pack: Pack) -> None:
    pack.path("model.onnx").write_bytes(b"Graph" + b"graph" * 99)
    with pytest.raises(PackError, match="does not match"):
        packs.open_folder(pack.folder)


def test_open_pack__missing(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no such pack"):
        packs.open_pack(tmp_path / "nothing", tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", "manifest.json", ".hidden", "a\n"])
def test_decode_manifest__file_names(name: str) -> None:
    entry = packs.Entry(sha256="ab" * 32, size=1)
    manifest = Manifest(name="x", labels=["a"], input=Input(height=64, width=64), files={name: entry}, variants={})
    with pytest.raises(PackError, match="not allowed"):
        packs.decode_manifest(packs.encode_manifest(manifest))


def test_decode_manifest__too_many_bytes_are_refused_before_reading() -> None:
    entry = packs.Entry(sha256="ab" * 32, size=packs.MAX_PACK + 1)
    manifest = Manifest(name="x", labels=["a"], input=Input(height=64, width=64), files={"model.onnx": entry})
    with pytest.raises(PackError, match="more than"):
        packs.decode_manifest(packs.encode_manifest(manifest))
