"""The actor of a job on a cluster, without one: it begins once, remembers what nobody has fetched, and passes it on."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from central.jobs import host
from central.jobs.host import Host, Tape

COUNT = "central.jobs.probe:count"


@pytest.fixture(autouse=True)
def _streams() -> Iterator[None]:
    """A host takes the output of its process."""
    kept = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = kept


def ended(actor: Host) -> Any:
    """Return the last answer of a poll from the beginning."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = actor.poll(0, 0)
        if found[-1] is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("it does not end")


def test_host__tells_reports_output_and_answer() -> None:
    actor = Host()
    actor.begin({"function": COUNT, "args": {"steps": 2, "seconds": 0.0}})
    reports, seen, text, place, answer = ended(actor)
    assert [r["progress"] for r in reports] == [0.5, 1.0] and seen == 2
    assert "counted 2" in text and place == len(text)
    assert answer == {"result": {"counted": 2}}
    assert actor.poll(seen, place) == ([], 2, "", place, answer)


def test_host__begins_once() -> None:
    actor = Host()
    for _ in range(3):
        actor.begin({"function": COUNT, "args": {"steps": 1, "seconds": 0.05}})
    assert len(ended(actor)[0]) == 1


def test_host__forgets_the_oldest_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MAX_REPORTS", 2)
    actor = Host()
    for number in range(5):
        actor.report({"n": number})
    assert [r["n"] for r in actor.poll(0, 0)[0]] == [3, 4]
    assert [r["n"] for r in actor.poll(4, 0)[0]] == [4]
    assert actor.poll(5, 0)[:2] == ([], 5)


def test_tape__keeps_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MAX_PRINTED", 4)
    tape = Tape(io.StringIO())
    tape.write("abcdef")
    assert tape.since(0) == ("cdef", 6)
    assert tape.since(5) == ("f", 6)
    assert tape.since(6) == ("", 6)
