"""Decoding in hardware: found where it is, told why where it is not, and back to software when it fails."""

from __future__ import annotations

import subprocess
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.sources import Source, SourceError, gstreamer, stream
from edge.sources.gstreamer import CONVERTERS, HardwareStream, built_with_gstreamer, find_decoder, missing, pipeline

WITH = "  Video I/O:\n    FFMPEG:   YES\n    GStreamer:    YES (1.20.3)\n"
WITHOUT = "  Video I/O:\n    FFMPEG:   YES\n    GStreamer:    NO\n"
ADDRESS = "rtsp://me:se\"cret@10.0.0.5/live"


class FakeCapture:
    """Gives `count` pictures."""

    def __init__(self, count: int) -> None:
        self.left, self.released = count, 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.left >= 0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return (True, np.full((4, 6, 3), 9, np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released += 1


def opened(count: int, **options: Any) -> tuple[HardwareStream, FakeCapture]:
    capture = FakeCapture(count)
    given = {"fps": None, "decoder": "nvv4l2decoder", **options}
    return HardwareStream(ADDRESS, "rtsp://10.0.0.5/live", "gate", open_capture=lambda _: capture, **given), capture


@pytest.mark.parametrize(("information", "built"), [(WITH, True), (WITHOUT, False), ("", False)])
def test_built__as_opencv_says(information: str, built: bool) -> None:
    assert built_with_gstreamer(information) == built


@pytest.mark.parametrize(
    ("there", "best"),
    [({"vah264dec", "nvv4l2decoder"}, "nvv4l2decoder"), ({"v4l2h264dec"}, "v4l2h264dec"), (set(), None)],
)
def test_decoder__the_best_that_is_there(there: set[str], best: str | None) -> None:
    assert find_decoder(there.__contains__) == best


@pytest.mark.parametrize(
    ("information", "decoder", "says"),
    [
        (WITH, "vah264dec", ""),
        (WITHOUT, None, "OpenCV has no GStreamer"),
        (WITH, None, "GStreamer has no hardware decoder"),
    ],
)
def test_missing__says_what(information: str, decoder: str | None, says: str) -> None:
    assert missing(information, decoder).startswith(says)
    assert bool(missing(information, decoder)) == bool(says)


@pytest.mark.parametrize("decoder", CONVERTERS)
def test_pipeline__over_tcp_and_quoted(decoder: str) -> None:
    text = pipeline(ADDRESS, decoder)
    assert text.startswith('uridecodebin uri="rtspt://me:se\\"cret@10.0.0.5/live" ! ' + CONVERTERS[decoder])
    assert "max-buffers=1" in text


def test_pipeline__is_one_that_gstreamer_understands() -> None:
    """Needs the system's GStreamer for Python; elements of hardware that is not there are replaced."""
    python = Path("/usr/bin/python3")
    script = (
        "import sys, gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
        "Gst.parse_launch(sys.argv[1])"
    )
    text = pipeline("rtsp://10.0.0.5/live", "v4l2slh264dec")
    words = [str(python), "-c", script]
    if not python.exists() or subprocess.run([*words, "fakesrc ! fakesink"], capture_output=True).returncode:
        pytest.skip("GStreamer for the system's Python is not there")
    done = subprocess.run([*words, text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([*words, text.replace(" ! ", " !! ")], capture_output=True).returncode


def test_stream__frames_then_gone() -> None:
    source, _ = opened(5)
    with pytest.raises(SourceError, match=r"rtsp://10\.0\.0\.5/live: went away"):
        list(source.frames())
    source, capture = opened(5)
    assert [f.index for f in islice(source.frames(), 5)] == [0, 1, 2, 3, 4]
    source.close()
    assert capture.released


@pytest.mark.parametrize("count", [-1, 0])
def test_stream__that_does_not_open(count: int) -> None:
    with pytest.raises(SourceError, match="nvv4l2decoder gives no picture") as error:
        opened(count)
    assert "cret" not in str(error.value)


@pytest.mark.parametrize(
    ("decode", "decoder", "fails", "hardware", "warned"),
    [
        ("auto", "nvv4l2decoder", False, True, False),
        ("auto", "nvv4l2decoder", True, False, True),
        ("auto", None, False, False, False),
        ("hardware", None, False, False, True),
        ("software", "nvv4l2decoder", False, False, False),
    ],
)
def test_kind__hardware_where_it_works_and_a_reason_where_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    decode: str, decoder: str | None, fails: bool, hardware: bool, warned: bool,
) -> None:  # fmt: skip
    def make(*_: Any) -> Source:
        if fails:
            raise SourceError("no picture of it")
        return opened(3)[0]

    def software(source: str) -> Any:
        raise SourceError("software was tried")

    monkeypatch.setattr(gstreamer, "available", lambda: (decoder, "" if decoder else "OpenCV has no GStreamer"))
    monkeypatch.setattr(gstreamer, "HardwareStream", make)
    monkeypatch.setattr(stream, "open_stream", software)
    if hardware:
        assert stream.SOURCE.open("rtsp://10.0.0.5/x", "gate", decode=decode).live
    else:
        with pytest.raises(SourceError, match="software was tried"):
            stream.SOURCE.open("rtsp://10.0.0.5/x", "gate", decode=decode)
    assert ("decoded in software" in caplog.text) == warned
