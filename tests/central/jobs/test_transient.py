"""Which errors another attempt may get over."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from central.jobs.worker import transient
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
