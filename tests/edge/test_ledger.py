"""What was spent of the quotas, over restarts of the program and of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from edge import ledger
from edge.ledger import Clocks, Ledger
from edge.select import Selector, kinds
from edge.select.history import DAY_S, HOUR_S, Spent
from protocols.messages import Assessment, Policy

SIZE = 50_000


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is quick."""
    monkeypatch.setattr(os, "fdatasync", lambda handle: None)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Time:
    """Clocks that a test sets."""

    def __init__(self, machine: str = "one", monotonic: float = 1000.0, wall: float = 1e9) -> None:
        self.machine, self.monotonic, self.wall = machine, monotonic, wall

    def clocks(self) -> Clocks:
        return Clocks(self.machine, lambda: self.monotonic, lambda: self.wall)

    def go(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


def ages(book: Ledger, at: Time, camera: str = "a") -> list[tuple[float, int, int]]:
    return [(round(at.monotonic - s.time, 1), s.frames, s.bytes) for s in book.rows(camera)]


def test_rows__of_each_camera_after_a_restart(tmp_path: Path) -> None:
    at = Time()
    book = Ledger(tmp_path, at.clocks())
    book.note("a", at.monotonic, 100)
    at.go(5)
    book.note("b", at.monotonic - 2, 70)
    at.go(5)
    again = Ledger(tmp_path, at.clocks())
    assert (ages(again, at), ages(again, at, "b")) == ([(10.0, 1, 100)], [(7.0, 1, 70)])


@pytest.mark.parametrize(
    ("machine", "monotonic", "wall", "expected"),
    [
        ("one", 1060.0, 1e9 - 5000, 60.0),  # the wall clock was set back: the machine's own counts
        ("one", 1060.0, 1e9 + 1e6, 60.0),
        ("two", 3.0, 1e9 + 60, 60.0),  # a reboot: the wall clock counts
        ("two", 3.0, 1e9 - 60, 0.0),  # and was set back: as if it were spent now
        ("", 3.0, 1e9 + 60, 60.0),  # a machine that does not name its boots
    ],
)
def test_rows__whatever_the_clocks_do(
    tmp_path: Path, machine: str, monotonic: float, wall: float, expected: float
) -> None:
    at = Time()
    Ledger(tmp_path, at.clocks()).note("a", at.monotonic, 100)
    later = Time(machine, monotonic, wall)
    assert ages(Ledger(tmp_path, later.clocks()), later) == [(expected, 1, 100)]


@pytest.mark.parametrize("damage", [b'\n["a","on', b"\n\x00\x00\x00", b"\n{}", b"\n[1]"])
def test_rows__damaged_lines_are_passed_over(tmp_path: Path, damage: bytes) -> None:
    at = Time()
    book = Ledger(tmp_path, at.clocks())
    book.note("a", at.monotonic, 100)
    path = tmp_path / ledger.NAME
    path.write_bytes(path.read_bytes() + damage)
    book.note("a", at.monotonic, 200)
    assert [size for _, _, size in ages(Ledger(tmp_path, at.clocks()), at)] == [100, 200]


@pytest.mark.usefixtures("unsynced")
def test_rows__older_ones_are_put_together_and_go(tmp_path: Path) -> None:
    at = Time()
    book = Ledger(tmp_path, at.clocks())
    for _ in range(900):
        book.note("a", at.monotonic, 10)
        at.go(2)
    at.go(HOUR_S)
    tidied = ages(Ledger(tmp_path, at.clocks()), at)
    assert len(tidied) < 30 and sum(f for _, f, _ in tidied) == 900 and sum(b for *_, b in tidied) == 9000
    at.go(DAY_S)
    assert ages(Ledger(tmp_path, at.clocks()), at) == []
    assert (tmp_path / ledger.NAME).read_bytes() == b""


@pytest.mark.usefixtures("unsynced")
def test_note__tidies_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "COMPACT_AFTER", 50)
    at = Time()
    book = Ledger(tmp_path, at.clocks())
    for _ in range(1000):
        book.note("a", at.monotonic, 10)
        at.go(200)
    assert (tmp_path / ledger.NAME).stat().st_size < 50_000
    assert sum(f for _, f, _ in ages(Ledger(tmp_path, at.clocks()), at)) == DAY_S / 200


def test_note__a_disk_that_does_not_take_it_is_no_end(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "gone", Time().clocks())
    book.note("a", 1000.0, 100)
    assert len(book.rows("a")) == 1


def keep(selector: Selector, begin: float, seconds: float, fps: float = 1.0) -> list[Spent]:
    rows = []
    for index in range(int(seconds * fps)):
        now = begin + index / fps
        if selector.decide(Assessment(uncertainty=0.9), now).keep:
            selector.settle(SIZE)
            rows.append(Spent(now, 1, SIZE))
    return rows


@pytest.mark.parametrize("name", ["budget", "uniform", "threshold", "timelapse", "entropy"])
@pytest.mark.parametrize("quota", [{"frames_per_hour": 20.0}, {"bytes_per_hour": 4_000_000, "frames_per_hour": 3600.0}])
def test_restart__every_minute_stays_within_the_quota(name: str, quota: dict[str, float]) -> None:
    policy = Policy(version=1, policy=name, min_gap_s=0.0, **quota)  # type: ignore[arg-type]
    rows: list[Spent] = []
    for minute in range(60):
        selector = kinds()[name].create(policy, Random(minute))
        selector.quota.restore(rows, 60.0 * minute)
        rows += keep(selector, 60.0 * minute, 60.0)
    most = quota.get("bytes_per_hour", 20 * SIZE) / SIZE
    assert 0.5 * most < len(rows) <= most


def test_restart__goes_on_at_the_pace_of_before() -> None:
    policy = Policy(version=1, policy="threshold", frames_per_hour=60.0, min_gap_s=0.0, audit_share=0.0)
    first = kinds()["threshold"].create(policy, Random(1))
    rows = keep(first, 0.0, 600.0)
    second = kinds()["threshold"].create(policy, Random(1))
    second.quota.restore(rows, 600.0)
    assert len(keep(first, 600.0, 600.0)) == pytest.approx(len(keep(second, 600.0, 600.0)), abs=1)


def spooled(data: Path) -> int:
    return sum(1 for path in (data / "spool").rglob("*") if path.is_file())


@pytest.mark.system
def test_kill__a_node_killed_again_and_again_stays_within_its_quota(tmp_path: Path) -> None:
    config = tmp_path / "node.yaml"
    config.write_text(
        f"node: n\ndata: {tmp_path}/data\ncameras: {{c: 'street:seed=1,width=320,height=240,fps=20'}}\n"
        f"model: {{pack: base}}\nmqtt: {{port: 9}}\n"
        "policy: {policy: timelapse, frames_per_hour: 2, min_gap_s: 0, audit_share: 0}\n"
    )
    file = tmp_path / "data" / ledger.NAME

    def lines() -> int:
        return file.read_bytes().count(b"[") if file.exists() else 0

    for turn in (1, 2, 3):  # the policy keeps one frame at each start, as long as the quota lasts
        with subprocess.Popen([sys.executable, "-m", "edge.cli", "run", "--config", str(config)]) as node:
            until = time.monotonic() + (30 if turn < 3 else 3)
            while time.monotonic() < until and lines() < turn:
                time.sleep(0.02)
            os.kill(node.pid, signal.SIGKILL)
        assert lines() == min(turn, 2)
