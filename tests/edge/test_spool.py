"""The spool: bounded, durable, ordered by value, and never an error of its caller."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from edge.sources import frame_id
from edge.spool import Cipher, LockedError, Spool, SpoolError, aside, pack_record, unpack_record
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
    monkeypatch.setattr(aside, "MAX_FILES", 3)
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


# --- age ---


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_age__what_waits_too_long_is_given_up_and_counted(tmp_path: Path) -> None:
    clock = Time()
    spool = Spool(tmp_path, 10**6, 100, reserve=4096, max_age=100.0, clock=clock)
    old, young = frame(), frame()
    spool.add(old, 9.0)
    clock.now += 70
    spool.add(young, 1.0)
    clock.now += 70
    spool.tend()
    assert spool.best() == young.id
    assert len(spool) == 1
    assert (spool.counters.expired, spool.counters.evicted, spool.dropped) == (1, 1, 1)


def test_age__counts_running_time_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    clock = Time()
    spool = Spool(tmp_path, 10**6, 100, reserve=4096, max_age=100.0, clock=clock)
    spool.add(frame(), 1.0)
    clock.now += 70
    spool.add(frame(), 1.0)
    later = Time()
    later.now = 5.0  # the monotonic clock of another start
    again = Spool(tmp_path, 10**6, 100, reserve=4096, max_age=100.0, clock=later)
    again.tend()
    assert len(again) == 2
    later.now += 35
    again.tend()
    assert len(again) == 1


# --- counts ---


def accounted(spool: Spool) -> int:
    totals = spool.totals
    return len(spool) + spool.counters.receipted + totals.evicted + totals.damaged + totals.parked


@pytest.mark.parametrize("closed", [True, False])
def test_totals__last_for_the_life_of_the_spool(tmp_path: Path, closed: bool) -> None:
    for start in range(3):
        spool = make(tmp_path, max_frames=5)
        assert spool.totals.evicted == max(0, start * 25 - 5)
        for _ in range(25):
            spool.add(frame(100), 1.0 + spool._index.order)
        if closed:
            spool.close()
    assert len(spool) == 5
    assert accounted(spool) == 75


def test_totals__emptied_files_do_not_pile_up(tmp_path: Path) -> None:
    spool = make(tmp_path, max_frames=2)
    for i in range(140):
        spool.add(frame(10), float(i))
        assert len(list(tmp_path.glob("*.dropped"))) < 64
    assert all(p.stat().st_size == 0 for p in tmp_path.glob("*.dropped"))
    assert make(tmp_path).totals.evicted == 138


def test_totals__a_damaged_index_costs_only_counts(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    spool.add(message, 1.0)
    spool.close()
    (tmp_path / "index.json").write_text("{")
    again = make(tmp_path)
    assert again.best() == message.id
    assert again.totals.evicted == 0


def test_quota__counts_what_is_put_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64_000, 100, reserve=8000)
    for i in range(40):
        message = frame(1500)
        spool.add(message, float(i))
        if i % 4 == 0:
            spool.park(message.id, "planted")
        assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) <= 64_000
    assert sum(p.stat().st_size for p in (tmp_path / "parked").glob("*.frame")) <= 4000
    assert accounted(spool) == 40


def test_park__is_not_sent_and_says_why(tmp_path: Path) -> None:
    spool, bad, good = make(tmp_path), frame(), frame()
    spool.add(bad, 9.0)
    spool.add(good, 1.0)
    assert spool.park(bad.id, "image is not a JPEG")
    assert not spool.park("unknown", "")
    assert spool.best() == good.id
    again = make(tmp_path)
    assert (len(again), again.totals.parked) == (1, 1)
    assert [p.read_text() for p in (tmp_path / "parked").glob("*.reason")] == ["image is not a JPEG\n"]


def test_park__put_back_it_is_sent_again(tmp_path: Path) -> None:
    spool, message = make(tmp_path), frame()
    spool.add(message, 1.0)
    spool.park(message.id, "planted")
    spool.close()
    for path in (tmp_path / "parked").glob("*.frame"):
        path.rename(tmp_path / path.name)
    assert make(tmp_path).best() == message.id


def test_start__two_records_of_one_number(tmp_path: Path) -> None:
    """An index that was lost, and a record that somebody put back."""
    for message in (frame(), frame()):
        record = pack_record(codec.encode("frames", message))
        (tmp_path / f"000000000007-001000-{message.id}.frame").write_bytes(record)
    spool = make(tmp_path)
    assert len(spool) == 2
    assert len(drain(spool)) == 2
    assert not list(tmp_path.glob("*.frame"))


# --- encryption ---

KEY, OTHER = Cipher(bytes(range(32))), Cipher(bytes(32))


def test_cipher__nothing_of_a_frame_is_readable_on_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6, 100, reserve=4096, cipher=KEY)
    message = frame()
    spool.add(message, 1.0)
    data = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert bytes(16) not in data.replace(bytes(4096), b"")
    assert b"probability" not in data
    body = Spool(tmp_path, 10**6, 100, reserve=4096, cipher=KEY).read(message.id)
    assert body is not None
    assert codec.decode("frames", body) == message


@pytest.mark.parametrize("cipher", [None, OTHER])
def test_cipher__frames_of_another_key_stay_and_are_not_sent(tmp_path: Path, cipher: Cipher | None) -> None:
    message, plain = frame(), frame()
    Spool(tmp_path, 10**6, 100, reserve=4096, cipher=KEY).add(message, 9.0)
    make(tmp_path).add(plain, 1.0)
    with structlog.testing.capture_logs() as logs:
        other = Spool(tmp_path, 10**6, 100, reserve=4096, cipher=cipher)
    assert [e["event"] for e in logs if "key" in e["event"]]
    assert (len(other), other.locked, other.best()) == (1, 1, plain.id)
    assert other.counters.damaged == 0
    right = Spool(tmp_path, 10**6, 100, reserve=4096, cipher=KEY)
    assert right.best() == message.id
    assert right.read(message.id) is not None


def test_cipher__a_key_that_is_found_wrong_late_locks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Spool(tmp_path, 10**6, 100, reserve=4096, cipher=KEY).add(frame(), 9.0)
    monkeypatch.setattr("edge.spool.spool.CHECK_S", -1.0)
    spool = make(tmp_path)
    assert len(spool) == 1
    assert spool.read(str(spool.best())) is None
    assert (spool.best(), spool.locked) == (None, 1)
    assert len(list(tmp_path.glob("*.frame"))) == 1


@pytest.mark.parametrize("at", range(0, 250, 9))
def test_cipher__any_flipped_byte_is_noticed(at: int) -> None:
    record = bytearray(pack_record(b"body" * 40, 7, KEY))
    record[at] ^= 0x10
    assert unpack_record(bytes(record), KEY) is None


def test_cipher__wrong_key() -> None:
    with pytest.raises(LockedError):
        unpack_record(pack_record(b"body", 7, KEY), OTHER)


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (None, 0o600, "is not there"),
        (bytes(31), 0o600, "31 bytes, not 32"),
        (bytes(32), 0o640, "chmod 600"),
    ],
)
def test_cipher__key_files_that_do_not_serve(tmp_path: Path, content: bytes | None, mode: int, expected: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(SpoolError, match=expected) as info:
        Cipher.from_file(path)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)
