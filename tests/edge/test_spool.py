"""The spool: bounded, durable, ordered by value, and never an error of its caller."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import spool as module
from edge.sources import frame_id
from edge.spool import Spool, pack_record, unpack_record
from protocols import codec, files
from protocols.messages import Assessment, FrameMessage, Selection, utc_now


def frame(size: int = 2000) -> FrameMessage:
    now = utc_now()
    image = bytes(size)
    return FrameMessage(
        id=frame_id(now), node="n", boot="b", sequence=0, camera="c", time=now, width=8, height=8,
        assessment=Assessment(), selection=Selection(keep=True, probability=1.0, reason="r", policy="p"),
        sha256=hashlib.sha256(image).hexdigest(), image=image,
    )  # fmt: skip


def make(folder: Path, max_bytes: int = 10**6, max_frames: int = 100) -> Spool:
    return Spool(folder, max_bytes, max_frames, reserve=4096)


def drain(spool: Spool) -> list[str]:
    order = []
    while (best := spool.best()) is not None:
        order.append(best)
        spool.remove([best])
    return order


def test_add__what_is_read_is_what_was_added(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    assert spool.add(message, 1.0)
    body = spool.read(message.id)
    assert body is not None
    assert codec.decode("frames", body) == message
    assert len(spool) == 1
    assert spool.size_bytes == next(tmp_path.glob("*.frame")).stat().st_size


def test_best__value_first_then_age(tmp_path: Path) -> None:
    spool = make(tmp_path)
    messages = [frame() for _ in range(5)]
    for message, value in zip(messages, [1.0, 3.0, 2.0, 3.0, 0.0], strict=True):
        spool.add(message, value)
    assert drain(spool) == [messages[i].id for i in (1, 3, 2, 0, 4)]


def test_best__leaves_out_what_is_under_way(tmp_path: Path) -> None:
    spool, first, second = make(tmp_path), frame(), frame()
    spool.add(first, 2.0)
    spool.add(second, 1.0)
    assert spool.best({first.id}) == second.id
    assert spool.best({first.id, second.id}) is None


def test_restart__keeps_frames_and_their_order(tmp_path: Path) -> None:
    spool = make(tmp_path)
    messages = [frame() for _ in range(4)]
    for message, value in zip(messages, [1.0, 2.0, 2.0, 0.5], strict=True):
        spool.add(message, value)
    again = make(tmp_path)
    late = frame()
    again.add(late, 2.0)
    assert again.size_bytes == spool.size_bytes // 4 * 5
    assert drain(again) == [messages[1].id, messages[2].id, late.id, messages[0].id, messages[3].id]


def test_remove__only_a_receipt_deletes(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    spool.add(message, 1.0)
    spool.read(message.id)
    assert len(make(tmp_path)) == 1
    assert spool.remove([message.id, "unknown"]) == 1
    assert spool.remove([message.id]) == 0
    assert len(make(tmp_path)) == 0
    assert spool.counters.receipted == 1


def test_add__twice_is_once(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    assert spool.add(message, 1.0)
    assert spool.add(message, 1.0)
    assert len(spool) == 1


@pytest.mark.parametrize(("max_bytes", "max_frames"), [(10**6, 3), (9000, 100)])
def test_quota__the_best_stay(tmp_path: Path, max_bytes: int, max_frames: int) -> None:
    spool = make(tmp_path, max_bytes, max_frames)
    messages = [frame() for _ in range(6)]
    values = [5.0, 1.0, 4.0, 2.0, 3.0, 0.5]
    kept = [spool.add(m, v) for m, v in zip(messages, values, strict=True)]
    assert kept == [True, True, True, True, True, False]
    assert spool.size_bytes <= max_bytes
    assert len(spool) == 3
    assert spool.counters.evicted == 3
    assert drain(spool) == [messages[0].id, messages[2].id, messages[4].id]


def test_quota__a_frame_larger_than_all_is_refused_without_harm(tmp_path: Path) -> None:
    spool = make(tmp_path, max_bytes=5000)
    spool.add(frame(), 1.0)
    assert not spool.add(frame(9000), 9.0)
    assert len(spool) == 1


def test_quota__a_smaller_one_at_restart(tmp_path: Path) -> None:
    spool = make(tmp_path)
    for value in range(6):
        spool.add(frame(), float(value))
    again = make(tmp_path, max_frames=2)
    assert len(again) == 2
    assert again.counters.evicted == 4
    assert len(list(tmp_path.glob("*.frame"))) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:10],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: b"XXXX" + data[4:],
    ],
)
def test_start__damaged_records_are_put_aside(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    spool = make(tmp_path)
    good, bad = frame(), frame()
    spool.add(good, 1.0)
    spool.add(bad, 2.0)
    path = next(p for p in tmp_path.glob("*.frame") if bad.id in p.name)
    path.write_bytes(damage(path.read_bytes()))
    again = make(tmp_path)
    assert drain(again) == [good.id]
    assert again.counters.damaged == 1
    assert [p.name for p in (tmp_path / "damaged").iterdir()] == [path.name]


def test_start__foreign_and_half_written_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "strange.frame").write_text("hello")
    (tmp_path / ".x.frame.1.part").write_text("half")
    spool = make(tmp_path)
    assert len(spool) == 0
    assert (tmp_path / "notes.txt").exists()
    assert not (tmp_path / ".x.frame.1.part").exists()
    assert (tmp_path / "damaged" / "strange.frame").exists()


def test_start__few_damaged_records_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DAMAGED", 3)
    for i in range(10):
        (tmp_path / f"{i}.frame").write_text("damaged")
    assert make(tmp_path).counters.damaged == 10
    assert len(list((tmp_path / "damaged").iterdir())) == 3


def test_read__damage_after_the_start(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    spool.add(message, 1.0)
    path = next(tmp_path.glob("*.frame"))
    path.write_bytes(path.read_bytes()[:-5])
    assert spool.read(message.id) is None
    assert spool.best() is None
    assert spool.counters.damaged == 1


def test_read__a_file_that_somebody_deleted(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    spool.add(message, 1.0)
    next(tmp_path.glob("*.frame")).unlink()
    assert spool.read(message.id) is None
    assert len(spool) == 0


class FullDisk:
    """A disk with `room` bytes, as `write_atomic` meets it."""

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room = folder, room

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        used = sum(p.stat().st_size for p in self.folder.glob("*.frame"))
        if used + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(data)


def test_full_disk__better_frames_replace_worse_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write_atomic", FullDisk(tmp_path, 10_000).write)
    spool = make(tmp_path)
    messages = [frame() for _ in range(8)]
    kept = [spool.add(m, float(i)) for i, m in enumerate(messages)]
    assert all(kept)
    assert drain(spool)[0] == messages[-1].id
    assert spool.counters.evicted > 0


def test_full_disk__worse_frames_are_refused_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(tmp_path, 10_000)
    monkeypatch.setattr(files, "write_atomic", disk.write)
    spool = make(tmp_path)
    messages = [frame() for _ in range(8)]
    kept = [spool.add(m, float(-i + 10)) for i, m in enumerate(messages)]
    assert kept == [True] * 4 + [False] * 4
    assert spool.counters.failed == 4
    disk.room = 10**6
    assert spool.add(frame(), 0.0)


def test_full_disk__filled_by_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(tmp_path, 10**6)
    monkeypatch.setattr(files, "write_atomic", disk.write)
    spool = make(tmp_path)
    first = [frame() for _ in range(5)]
    for message in first:
        spool.add(message, 1.0)
    disk.room = 0
    assert not spool.add(frame(), 1.0)
    assert len(spool) == 5, "equal frames are not given up for one that cannot be written"


def test_broken_disk__is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, data: bytes, mode: int = 0o644) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "write_atomic", broken)
    spool = make(tmp_path)
    assert not spool.add(frame(), 1.0)
    assert (len(spool), spool.counters.failed) == (0, 1)


def test_reserve__is_there_and_comes_back(tmp_path: Path) -> None:
    spool = make(tmp_path)
    reserve = tmp_path / ".reserve"
    assert reserve.stat().st_blocks * 512 >= 4096
    reserve.unlink()
    message = frame()
    spool.add(message, 1.0)
    spool.remove([message.id])
    assert reserve.stat().st_size == 4096


def test_threads__adding_and_removing_at_once(tmp_path: Path) -> None:
    spool = make(tmp_path, max_frames=20)
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set() or len(spool):
            best = spool.best()
            if best is not None:
                spool.read(best)
                spool.remove([best])

    taker = threading.Thread(target=take)
    taker.start()
    for i in range(100):
        spool.add(frame(), float(i % 7))
    stop.set()
    taker.join(10)
    counters = spool.counters
    assert counters.receipted + counters.evicted == 100
    assert spool.size_bytes == 0
    assert not list(tmp_path.glob("*.frame"))


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_record__any_flipped_byte_is_noticed(at: int) -> None:
    record = bytearray(pack_record(b"body" * 40))
    record[at] ^= 0x10
    assert unpack_record(bytes(record)) is None
