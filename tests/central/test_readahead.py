"""Reading ahead: the bytes in their order, the end where it is, and no message waits for the next one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from central import readahead
from central.readahead import Client, ReadAhead


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, ReadAhead]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield far, ReadAhead(near)


def test_recv__gives_the_bytes_in_their_order(ends: tuple[socket.socket, ReadAhead]) -> None:
    far, near = ends
    far.sendall(b"abcdef")
    assert [near.recv(1), near.pending(), near.recv(3), near.recv(9), near.pending()] == [b"a", 5, b"bcd", b"ef", 0]
    with pytest.raises(BlockingIOError):
        near.recv(1)


def test_recv__an_end_comes_after_what_was_read_ahead(ends: tuple[socket.socket, ReadAhead]) -> None:
    far, near = ends
    far.sendall(b"ab")
    far.close()
    assert [near.recv(1), near.recv(5), near.recv(1)] == [b"a", b"b", b""]


def test_recv__something_large_does_not_go_through_the_buffer(ends: tuple[socket.socket, ReadAhead]) -> None:
    far, near = ends
    far.sendall(b"x" * 1000)
    assert len(near.recv(readahead.AHEAD)) == 1000
    assert near.pending() == 0


def test_pending__counts_what_tls_holds() -> None:
    class Tls:
        def recv_into(self, view: memoryview) -> int:
            view[:3] = b"abc"
            return 3

        def pending(self) -> int:
            return 16

    near = ReadAhead(Tls())
    near.recv(1)
    assert near.pending() == 18


def serve(listener: socket.socket, burst: bytes) -> None:
    """Be a broker: greet, send `burst` in one go, and wait for the end."""
    there, _ = listener.accept()
    with there:
        there.recv(1024)
        there.sendall(b"\x20\x02\x00\x00" + burst)
        while there.recv(1024):
            pass


def test_client__handles_every_packet_of_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    count, got, done = 50, list[bytes](), threading.Event()
    burst = b"".join(b"\x30\x05\x00\x01t" + f"{i:02}".encode() for i in range(count))
    client = Client(CallbackAPIVersion.VERSION2)

    def message(_c: object, _u: object, each: object) -> None:
        got.append(each.payload)  # type: ignore[attr-defined]
        if len(got) == count:
            done.set()

    client.on_message = message
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, burst))
        thread.start()
        client.connect("127.0.0.1", listener.getsockname()[1])
        client.loop_start()
        assert done.wait(10)
        client.disconnect()
        client.loop_stop()
        thread.join(10)
    assert got == [f"{i:02}".encode() for i in range(count)]


def test_client__looks_at_its_keep_alive_however_much_there_is_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message blocks for longer than the library may be away: one of them per turn, and none is lost."""
    monkeypatch.setattr(readahead, "DRAIN_S", 0.0)
    client, turns = Client(CallbackAPIVersion.VERSION2), list[float]()
    real, got, done = client.loop_misc, list[bytes](), threading.Event()

    def misc() -> MQTTErrorCode:
        turns.append(time.monotonic())
        return real()

    monkeypatch.setattr(client, "loop_misc", misc)

    def message(_c: object, _u: object, each: object) -> None:
        got.append(each.payload)  # type: ignore[attr-defined]
        if len(got) == 5:
            done.set()

    client.on_message = message
    burst = b"".join(b"\x30\x05\x00\x01t" + f"{i:02}".encode() for i in range(5))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, burst))
        thread.start()
        client.connect("127.0.0.1", listener.getsockname()[1])
        client.loop_start()
        assert done.wait(10)
        client.disconnect()
        client.loop_stop()
        thread.join(10)
    assert len(turns) >= 5
