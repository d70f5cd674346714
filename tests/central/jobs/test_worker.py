"""What is said of an error, and which of them another attempt may get over."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from central.jobs.worker import reason, transient
from central.store.blobs import BlobMissingError


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    pass


class RayTaskError(RayError):
    pass


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError("gone"), True),
        (FileNotFoundError("no such file"), False),
        (BlobMissingError("a.jpg"), False),
        (ValueError("no good"), False),
        (ActorDiedError("its node has died"), True),
        (RayTaskError("ValueError: no good"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_transient__what_was_lost_not_what_is_wrong(
    error: Exception, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(exceptions=every))
    assert transient(error) is again


TRACE = """\x1b[36mray::Worker.__init__()\x1b[39m (pid=5)
  File "central/jobs/scoring.py", line 84, in __init__
    self._blobs = connect(url)
central.store.blobs.BlobError: blob URL: no keys: set AWS_ACCESS_KEY_ID"""


def test_reason__of_a_trace_the_last_line() -> None:
    assert reason(ActorDiedError(TRACE)) == "BlobError: blob URL: no keys: set AWS_ACCESS_KEY_ID"


def test_reason__of_others_all_lines_as_one() -> None:
    assert reason(ActorDiedError("The actor died.\n\tIts node was lost.")) == "The actor died. Its node was lost."


def test_reason__an_error_without_words_has_its_name() -> None:
    assert reason(ValueError()) == "ValueError"
