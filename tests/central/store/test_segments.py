"""Segments: every image comes back whole by its key, a crash or a full disk costs nothing that had a key."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from central.store import blobs, segments
from central.store.blobs import BlobError
from central.store.segments import Segments


def test_append__each_key_reads_its_own(tmp_path: Path) -> None:
    store = Segments(tmp_path)
    # More pieces than one write takes; none is zeros alone, as what was erased is.
    items = [b"\xff" + os.urandom(n) for n in (0, 70_000, 3)] * 400
    keys = store.append(items) + store.append(items[:2])
    assert [segments.read(tmp_path, key) for key in keys] == [*items, *items[:2]]
    assert segments.read(tmp_path, keys[1], 10, 20) == items[1][10:30]
    assert len(set(keys)) == len(keys)
    store.close()


def test_append__a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    store = Segments(tmp_path, limit=10)
    names = {segments.place(store.append([b"0123456789"])[0])[0] for _ in range(3)}  # type: ignore[index]
    store.close()
    assert len(names) == 3


def test_append__never_touches_what_another_process_began(tmp_path: Path) -> None:
    first, second = Segments(tmp_path), Segments(tmp_path)
    keys = [first.append([b"a"])[0], second.append([b"b"])[0], first.append([b"c"])[0]]
    assert [segments.read(tmp_path, key) for key in keys] == [b"a", b"b", b"c"]
    first.close()
    second.close()


def test_append__syncs_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda h: synced.append(Path(f"/proc/self/fd/{h}").readlink().suffix))
    monkeypatch.setattr(os, "fsync", lambda h: synced.append(Path(f"/proc/self/fd/{h}").readlink().name))
    store = Segments(tmp_path)
    day = Path(segments.place(store.append([b"a"])[0])[0]).parent.name  # type: ignore[index]
    assert synced == [day, "frames", tmp_path.name, ".seg"]
    store.append([b"a"])
    assert synced[4:] == [".seg"]
    store.close()


def test_append__a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, real = Segments(tmp_path), os.pwritev
    key = store.append([b"first"])[0]

    def half(handle: int, buffers: list[memoryview], at: int) -> int:
        real(handle, [buffers[0][:2]], at)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", half)
    with pytest.raises(OSError, match="No space"):
        store.append([b"second"])
    monkeypatch.setattr(os, "pwritev", real)
    later = store.append([b"third"])[0]
    assert [segments.read(tmp_path, k) for k in (key, later)] == [b"first", b"third"]
    assert segments.place(key)[0] != segments.place(later)[0]  # type: ignore[index]
    assert (tmp_path / segments.place(key)[0]).stat().st_size == 5  # type: ignore[index]
    store.close()


def size(root: Path, key: str) -> int:
    return (root / segments.place(key)[0]).stat().st_size  # type: ignore[index]


def test_append__reserves_ahead_and_gives_it_back_at_the_end(tmp_path: Path) -> None:
    store = Segments(tmp_path)
    key = store.append([b"x" * 1000])[0]
    assert size(tmp_path, key) >= segments.RESERVE_FIRST
    store.close()
    assert size(tmp_path, key) == 1000
    assert segments.read(tmp_path, key) == b"x" * 1000


@pytest.mark.parametrize("errno", [28, 95])
def test_append__where_nothing_can_be_reserved_it_writes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errno: int
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno, "no")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    store = Segments(tmp_path)
    keys = [store.append([bytes([i]) * 100])[0] for i in range(1, 4)]
    assert [segments.read(tmp_path, key) for key in keys] == [bytes([i]) * 100 for i in range(1, 4)]
    store.close()


def locked(root: Path, key: str) -> bool:
    handle = os.open(root / segments.place(key)[0], os.O_RDONLY)  # type: ignore[index]
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def test_settle__a_full_segment_stays_locked_until_its_last_image_is_settled(tmp_path: Path) -> None:
    store = Segments(tmp_path, limit=10)
    first, second = store.append([b"01234", b"56789"])
    current = store.append([b"next"])[0]
    store.settle([first])
    assert locked(tmp_path, first) and locked(tmp_path, current)
    store.settle([second])
    assert not locked(tmp_path, first) and locked(tmp_path, current)
    store.settle([current])
    assert locked(tmp_path, current), "it is written to"
    store.close()
    assert not locked(tmp_path, current)


async def test_blobs__a_kept_image_is_read_streamed_and_erased(tmp_path: Path) -> None:
    store = blobs.connect(None, tmp_path)
    data = os.urandom(700_000)
    key, other = await store.keep([("frames/d/a.jpg", data), ("frames/d/b.jpg", b"other")])
    opened = await store.open(key)
    assert opened.size == len(data)
    assert b"".join([chunk async for chunk in opened.chunks]) == data
    await store.delete(key)
    with pytest.raises(BlobError, match="not there"):
        await store.read(key)
    assert await store.read(other) == b"other"
    store.close()


@pytest.mark.parametrize("key", ["../x.seg@0+1", "frames/x.seg@0+1", "frames/../x.seg@0+1", "/etc/passwd.seg@0+9"])
async def test_blobs__a_bad_or_missing_place_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(BlobError):
        await blobs.connect(None, tmp_path).read(key)


async def test_blobs__elsewhere_a_kept_image_has_the_wanted_key(tmp_path: Path) -> None:
    store = blobs.connect("memory:", tmp_path)
    assert await store.keep([("frames/d/a.jpg", b"a")]) == ["frames/d/a.jpg"]
    assert await store.read("frames/d/a.jpg") == b"a"
