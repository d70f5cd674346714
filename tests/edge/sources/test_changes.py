"""Streams that change while they are watched: another size, another codec; and cameras that refuse."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from edge.sources import Frame, SourceError, open_source, stream
from edge.sources.reader import Reader

WELL = 60
"""Pictures before the change: more than FFmpeg wants to see before it says what is in a stream."""


def transport_stream(codec: str, width: int, height: int, frames: int) -> bytes:
    """Return an MPEG transport stream of moving pictures."""
    made = io.BytesIO()
    with av.open(made, "w", format="mpegts") as container:
        track = container.add_stream(codec, rate=20)
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            image = np.full((height, width, 3), 60, np.uint8)
            image[:, 5 * i % width : 5 * i % width + 20] = 255
            container.mux(track.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(track.encode())
    return made.getvalue()


class Changing:
    """A camera that sends `parts`: the first one, on `change` the other; further connections get the other at once."""

    def __init__(self, *parts: bytes) -> None:
        self.connections, self.over, self.change = 0, threading.Event(), threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                with contextlib.suppress(OSError):
                    if camera.connections == 1:
                        self.wfile.write(parts[0])
                        camera.change.wait(10)
                    data = parts[-1] * 20
                    for i in range(0, len(data), 188 * 4):
                        self.wfile.write(data[i : i + 188 * 4])
                        if camera.over.wait(0.005):
                            return

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/x.ts"

    def close(self) -> None:
        self.over.set()
        self.change.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def changing() -> Iterator[Callable[..., Changing]]:
    made: list[Changing] = []

    def make(*parts: bytes) -> Changing:
        made.append(Changing(*parts))
        return made[-1]

    yield make
    for camera in made:
        camera.close()


def test_size__changes_and_frames_go_on(changing: Callable[..., Changing]) -> None:
    small, large = transport_stream("mpeg4", 128, 96, WELL), transport_stream("mpeg4", 256, 192, WELL)
    shapes = set()
    camera = changing(small, large)
    source = open_source(camera.address, "c")
    for frame in source.frames():
        shapes.add(frame.image.shape)
        camera.change.set()
        if len(shapes) == 2:
            break
    source.close()
    assert shapes == {(96, 128, 3), (192, 256, 3)}


def test_codec__changes_and_the_camera_is_connected_anew(
    changing: Callable[..., Changing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLIND_S", 0.3)
    old, new = transport_stream("libx264", 128, 96, WELL), transport_stream("mpeg2video", 256, 192, 100)
    camera = changing(old, new)
    reader = Reader(camera.address, "c")
    reader.start()
    try:
        end, seen = time.monotonic() + 20, set[tuple[int, ...]]()
        while (192, 256, 3) not in seen and time.monotonic() < end:
            frame: Frame | None = reader.get(0.2)
            if frame is not None:
                seen.add(frame.image.shape)
        assert seen == {(96, 128, 3), (192, 256, 3)}
        assert camera.connections >= 2
        assert reader.state == "watching"
    finally:
        reader.close()


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of an RTSP camera that wants another password."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                try:
                    while request := connection.recv(4096).decode(errors="replace"):
                        number = next((line for line in request.splitlines() if line.startswith("CSeq")), "CSeq: 1")
                        status = "200 OK\r\nPublic: DESCRIBE" if request.startswith("OPTIONS") else "401 Unauthorized"
                        realm = 'WWW-Authenticate: Basic realm="camera"'
                        connection.sendall(f"RTSP/1.0 {status}\r\n{number}\r\n{realm}\r\n\r\n".encode())
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    thread.join()
    listener.close()


def test_rtsp__wrong_password_says_so_without_it(refusing: str) -> None:
    with pytest.raises(SourceError, match=rf"^rtsp://{refusing}/live: wrong user or password \(401\)$") as error:
        open_source(f"rtsp://me:secret@{refusing}/live", "c")
    assert not error.value.lasting, "somebody may set it right at the camera"
