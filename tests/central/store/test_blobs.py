"""Blobs come back whole, and a put that returned was synced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from central.store import blobs
from central.store.blobs import BlobError, Blobs


@pytest.fixture(params=["memory", "folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """Every kind of store that needs no network."""
    urls = {"memory": "memory:", "folder": None, "url": f"file://{tmp_path}/else where"}
    return blobs.connect(urls[request.param], tmp_path / "blobs")


@pytest.mark.parametrize(
    ("frame", "day"),
    [
        ("019cbb5c-7a80-7000-8000-000000000000", "2026-03-05"),
        ("00000000-0000-7000-8000-000000000000", "1970-01-01"),
        ("ffffffff-ffff-7000-8000-000000000000", "unknown"),
    ],
)
def test_frame_key__by_day_of_the_id(frame: str, day: str) -> None:
    assert blobs.frame_key(frame) == f"frames/{day}/{frame}.jpg"


@pytest.mark.asyncio
async def test_put__read_gives_it_back(store: Blobs) -> None:
    await store.put([("frames/d/a.jpg", b"a" * 700_000), ("frames/d/b.jpg", b"b")])
    opened = await store.open("frames/d/a.jpg")
    assert opened.size == 700_000
    assert b"".join([chunk async for chunk in opened.chunks]) == b"a" * 700_000
    assert await store.read("frames/d/b.jpg") == b"b"


@pytest.mark.asyncio
async def test_put__twice_replaces(store: Blobs) -> None:
    await store.put([("k", b"old")])
    await store.put([("k", b"new")])
    assert await store.read("k") == b"new"


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["missing/x", "../x", "/etc/passwd", "a/../../b", "", "a//b", ".x"])
async def test_open__bad_or_missing_key(store: Blobs, key: str) -> None:
    with pytest.raises(BlobError):
        await store.open(key)


@pytest.mark.asyncio
async def test_delete__twice_is_once(store: Blobs) -> None:
    await store.put([("k", b"x")])
    await store.delete("k")
    await store.delete("k")
    with pytest.raises(BlobError, match="not there"):
        await store.read("k")


@pytest.mark.asyncio
async def test_put__syncs_file_then_every_folder_up_to_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def spy(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    root = tmp_path / "blobs"
    store = blobs.connect(None, root)
    monkeypatch.setattr(os, "fsync", spy)
    await store.put([("frames/d/a.jpg", b"a"), ("frames/d/b.jpg", b"b")])
    assert sorted(synced[:2]) == [str(root / "frames/d" / name) for name in ("a.jpg", "b.jpg")]
    assert synced[2:] == [str(p) for p in (root / "frames/d", root / "frames", root)]


def test_connect__bad_url(tmp_path: Path) -> None:
    with pytest.raises(BlobError, match="blob URL"):
        blobs.connect("nonsense", tmp_path)
