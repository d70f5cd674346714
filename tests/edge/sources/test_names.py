"""A name server that does not answer costs a camera seconds, and one thread for all who wait."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from edge.sources import SourceError, open_source
from edge.sources import names as module
from edge.sources.names import Names, host_of


class Server:
    """A name server of the test's."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def __call__(self, host: str, _: None) -> Any:
        self.asked += 1
        self.answers.wait(10)
        if host == "unknown.example":
            raise socket.gaierror(-2, "Name or service not known")
        return []


def test_check__an_answer() -> None:
    server = Server()
    server.answers.set()
    names = Names(server)
    names.check("gate.example")
    with pytest.raises(SourceError, match=r"^unknown\.example: there is no such name.*not known"):
        names.check("unknown.example")
    assert server.asked == 2


@pytest.mark.parametrize("host", ["", "10.0.0.5", "::1", "fe80::1%eth0"])
def test_check__an_address_is_not_asked_for(host: str) -> None:
    server = Server()
    Names(server).check(host)
    assert server.asked == 0


def test_check__no_answer_leaves_one_thread_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    names, before = Names(server), threading.active_count()
    for _ in range(5):
        with pytest.raises(SourceError, match=r"gate\.example: the name server does not answer"):
            names.check("gate.example", 0.02)
    assert (server.asked, threading.active_count() - before) == (1, 1)
    waiting = threading.Timer(0.1, server.answers.set)
    waiting.start()
    start = time.monotonic()
    names.check("gate.example", 5.0)
    assert time.monotonic() - start < 3.0
    waiting.join()


def test_stream__names_the_camera_and_hides_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(module.NAMES, "_lookup", server)
    server.answers.set()
    with pytest.raises(SourceError, match=r"^rtsp://unknown\.example/live: unknown\.example: there is no") as error:
        open_source("rtsp://me:secret@unknown.example/live", "c")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("rtsp://me:pw@gate.example:554/x", "gate.example"), ("rtsp://[::1]:554/x", "::1"),
        ("http://10.0.0.1/x", "10.0.0.1"), ("rtsp://[bad/x", ""),
    ],
)  # fmt: skip
def test_host_of(address: str, host: str) -> None:
    assert host_of(address) == host
