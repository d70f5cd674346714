"""Opening cameras of every kind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.sources import Frame, Source, SourceError, kinds, open_source, public_name
from edge.sources.folder import natural

FRAMES, RATE = 40, 20


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("0", "device"),
        ("/dev/video3", "device"),
        ("rtsp://camera/1", "stream"),
        ("HTTP://camera/video", "stream"),
        ("street:", "street"),
        ("street:seed=3", "street"),
        ("missing.mp4", "file"),
        ("missing/", "folder"),
        (".", "folder"),
        ("nothing", None),
        ("ftp://x/y.mp4", None),
    ],
)
def test_kinds__exactly_one_matches(source: str, kind: str | None) -> None:
    assert [name for name, member in kinds().items() if member.matches(source)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.1:554/live", "rtsp://10.0.0.1:554/live"),
        ("rtsp://admin:p@ss@camera/live", "rtsp://camera/live"),
        ("rtsp://admin:pa/ss@camera/live", "rtsp://camera/live"),
        ("rtsp://admin:pa?s#s@camera/live", "rtsp://camera/live"),
        ("http://camera/v?token=abc&channel=2", "http://camera/v?token=***&channel=2"),
        ("rtsp://camera/user=admin&password=abc&channel=1.sdp", "rtsp://camera/user=***&password=***&channel=1.sdp"),
        ("rtsp://[::1]:554/live@1", "rtsp://[::1]:554/live@1"),
        ("clips/a@b.mp4", "clips/a@b.mp4"),
    ],
)
def test_public_name__hides_credentials(source: str, shown: str) -> None:
    assert public_name(source) == shown


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.mp4", "missing.mp4: no such file"),
        ("missing/", "missing/: no such folder"),
        ("nothing", "no such file, folder or camera"),
        ("977", "no camera at /dev/video977"),
        ("street:sed=3", "no option 'sed'"),
        ("street:hour=late", "hour must be a number"),
        ("street:width=9", "width must be a whole number from 64"),
        ("street:seed=1.5", "seed must be a whole number"),
        ("rtsp://user:secret@127.0.0.1:9/x", "connection refused"),
        ("http://user:secret@127.0.0.1:9/x?key=secret", "connection refused"),
    ],
)
def test_open__one_clear_line(source: str, words: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(source, "c")
    text = str(error.value)
    assert words in text
    assert "\n" not in text and "secret" not in text
    assert error.value.__cause__ is None or "secret" not in str(error.value.__cause__)


def test_file__all_frames_with_media_time(video: Path) -> None:
    frames = list(open_source(str(video), "c").frames())
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert (frames[-1].time - frames[0].time).total_seconds() == pytest.approx((FRAMES - 1) / RATE, abs=0.01)
    assert frames[0].image.shape == (96, 128, 3)
    assert frames[-1].image.mean() > frames[0].image.mean() + 60


@pytest.mark.parametrize(("fps", "count"), [(10.0, 20), (5.0, 10), (100.0, FRAMES), (8.0, 16)])
def test_file__thinned(video: Path, fps: float, count: int) -> None:
    assert len(list(open_source(str(video), "c", fps=fps).frames())) == count


def test_file__loops(video: Path) -> None:
    source = open_source(str(video), "c", loop=True)
    frames = list(islice(source.frames(), FRAMES + 5))
    source.close()
    assert frames[-1].index == 4
    assert (frames[-1].time - frames[0].time).total_seconds() == pytest.approx((FRAMES + 4) / RATE, abs=0.01)


def test_file__paced_in_real_time(video: Path) -> None:
    source = open_source(str(video), "c", paced=True)
    frames = list(islice(source.frames(), 9))
    source.close()
    assert source.live
    assert frames[-1].monotonic - frames[0].monotonic > 8 / RATE - 0.1, "not faster; a busy machine may be slower"


@pytest.mark.parametrize(
    ("cut", "words"), [(0.6, "no such|truncated|damaged at its start|damaged"), (0.02, "damaged at its start")]
)
def test_file__truncated(video: Path, tmp_path: Path, cut: float, words: str) -> None:
    data = video.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(SourceError, match=words):
        list(open_source(str(broken), "c").frames())


def test_file__truncated_data_is_told_after_its_frames(video: Path, tmp_path: Path) -> None:
    """The index stands at the end of this file, so its data is cut out of the middle instead."""
    data = video.read_bytes()
    start, end = data.index(b"mdat") + 4 + (data.index(b"moov") - data.index(b"mdat")) // 3, data.index(b"moov") - 4
    broken = tmp_path / "hole.mp4"
    broken.write_bytes(data[:start] + bytes(end - start) + data[end:])
    got: list[Frame] = []
    with pytest.raises(SourceError, match=r"truncated|decoded"):
        got.extend(open_source(str(broken), "c").frames())


@pytest.mark.parametrize("content", [b"", b"plainly not a video" * 50])
def test_file__not_a_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a video"):
        open_source(str(path), "c")


def test_close__from_another_thread(video: Path) -> None:
    source = open_source(str(video), "c", paced=True, loop=True)
    threading.Timer(0.2, source.close).start()
    start = time.monotonic()
    list(source.frames())
    assert time.monotonic() - start < 2.0
    source.close()


def test_natural__numbers_by_value() -> None:
    assert sorted(["a10.png", "a9.png", "A1.png", "b.png"], key=natural) == ["A1.png", "a9.png", "a10.png", "b.png"]


def test_folder__natural_order_and_skips(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = open_source(str(folder), "c")
    frames = list(source.frames())
    assert [frame.name for frame in frames] == [f"frame{i}.png" for i in range(1, 13) if i != 5]
    assert [frame.index for frame in frames] == [i for i in range(12) if i != 4]
    assert getattr(source, "skipped") == 1  # noqa: B009
    assert "1 of 12 images skipped" in caplog.text


def test_folder__order_of_a_coco_file(folder: Path) -> None:
    coco = folder / "order.json"
    coco.write_text(json.dumps({"images": [{"file_name": "frame3.png"}, {"file_name": "frame1.png"}]}))
    assert [f.name for f in open_source(str(folder), "c", coco=coco).frames()] == ["frame3.png", "frame1.png"]


def test_folder__without_images(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path), "c")


def test_folder__only_broken_images(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(SourceError, match="none of its 1 images"):
        list(open_source(str(tmp_path), "c").frames())


class Camera(BaseHTTPRequestHandler):
    """An MJPEG camera that sends frames until `frames` of them are out."""

    frames = 12

    def do_GET(self) -> None:
        if self.path.startswith("/secret"):
            self.send_error(401)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        _, data = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
        for _ in range(self.frames):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
            self.wfile.write(b"Content-Length: %d\r\n\r\n" % len(data) + data.tobytes() + b"\r\n")
            time.sleep(0.01)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of an MJPEG camera."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_stream__mjpeg_over_http(server: str) -> None:
    source: Source = open_source(f"http://me:secret@{server}/video", "c")
    got: list[Frame] = []
    with pytest.raises(SourceError, match=r"ended its stream|connection broke") as error:
        got.extend(source.frames())
    assert source.live and not source.recorded
    assert "secret" not in str(error.value)


def test_stream__frames_arrive(server: str) -> None:
    source = open_source(f"http://{server}/video", "c")
    frames = list(islice(source.frames(), 5))
    source.close()
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].image.shape == (48, 64, 3)


def test_stream__wrong_password(server: str) -> None:
    with pytest.raises(SourceError, match="wrong user or password"):
        open_source(f"http://me:secret@{server}/secret", "c")


def test_street__options_and_length() -> None:
    source = open_source("street:width=128,height=96,fps=5,frames=7", "c", seed=4)
    frames = list(source.frames())
    assert len(frames) == 7
    assert frames[0].image.shape == (96, 128, 3)
    assert (frames[-1].time - frames[0].time).total_seconds() == pytest.approx(6 / 5)


def test_shared_videos__all_frames(shared_data: Path) -> None:
    assert sum(1 for _ in open_source(str(shared_data / "video" / "carpark.mp4"), "c").frames()) == 377
