"""What people get wrong, and what goes wrong around them: one clear line, the right exit status, and nothing lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from central.annotate.client import ClientError
from central.api.schemas import BoxBody
from tests.system import rig
from tests.system.rig import Node, World, call, one_line, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
RTSP_SERVER = Path(__file__).parent / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"


def noise(path: Path) -> Path:
    """Write a video that is none."""
    path.write_bytes(random.Random(5).randbytes(200_000))
    return path


def video(path: Path, frames: int = 40) -> Path:
    """Write a small video at 10 frames per second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 192))
    for i in range(frames):
        writer.write(np.full((192, 320, 3), 5 * i % 255, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("source", ["missing.mp4", "noise.mp4", "empty"])
def test_source__that_cannot_be_watched(tmp_path: Path, pack: Path, source: str) -> None:
    noise(tmp_path / "noise.mp4")
    (tmp_path / "empty").mkdir()
    says = {"missing.mp4": "no such file", "noise.mp4": "not a video", "empty": "no"}[source]
    path = tmp_path / source
    one_line(call("edge", "score", path, "--pack", pack), str(path), says)
    data = tmp_path / "data"
    one_line(call("central", "demo", "--once", "--video", path, "--pack", pack, "--data", data), str(path), says)
    assert not data.exists()


def test_run_once__of_a_missing_video_ends_with_status_2(tmp_path: Path, pack: Path) -> None:
    missing = tmp_path / "missing.mp4"
    words = ["--camera", f"gate={missing}", "--data", tmp_path / "data", "--pack", pack, "--broker", "127.0.0.1:9"]
    done = call("edge", "run", "--once", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1] == f"camera gate: {missing}: no such file"


def test_config__wrong_key_is_named_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("node: n1\ncameras:\n  gate: video.mp4\nmqtt:\n  hots: broker.example\n")
    for words in (["run", "--config", file], ["config", "check", file]):
        one_line(call("edge", *words), f"{file}:5: mqtt.hots", "host")


@pytest.mark.parametrize("taken", ["--port", "--broker-port"])
def test_serve__port_in_use(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"--port": str(rig.free_port()), "--broker-port": str(rig.free_port()), taken: str(port)}
        words = [word for pair in ports.items() for word in pair]
        done = call("central", "serve", "--data", tmp_path / "data", *words)
    one_line(done, f"port {port}", taken if taken == "--broker-port" else "--port", "in use")


def test_pack__truncated(tmp_path: Path, pack: Path) -> None:
    bad = tmp_path / "bad.wpack"
    bad.write_bytes(pack.read_bytes()[:-5000])
    says = (str(bad), "not a whole pack")
    one_line(call("edge", "run", "--camera", "gate=street:", "--pack", bad, "--data", tmp_path / "n"), *says)
    one_line(call("edge", "score", rig.STREET, "--pack", bad), *says)
    one_line(call("central", "demo", "--once", "--video", rig.STREET, "--pack", bad, "--data", tmp_path / "d"), *says)


def test_label__that_does_not_exist_over_the_api(own: World) -> None:
    own.running().more_frames(1)
    frame = own.centre.api.queue(1).items[0]
    with pytest.raises(ClientError, match="zebra") as caught:
        own.centre.api.label(frame.id, frame.revision, [BoxBody(box=(0, 0, 50, 50), label="zebra")])
    assert (caught.value.status, caught.value.code) == (422, "unknown_label")
    assert own.centre.api.queue(1).items[0].state == "pending"


def test_label__that_does_not_exist_in_an_import(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    image = {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 20, 10]}
    truth.write_text(json.dumps({"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "zebra"}]}))
    done = call("central", "import", "coco", truth, "--data", tmp_path / "data")
    one_line(done, "label 'zebra' does not exist")


def test_rtsp__that_refuses_says_so_without_the_password(pack: Path) -> None:
    line = one_line(call("edge", "score", "rtsp://me:secret@127.0.0.1:9/live", "--pack", pack), "127.0.0.1:9/live")
    assert "refused" in line
    assert "secret" not in line


def test_broker__down_at_the_start(tmp_path: Path, pack: Path) -> None:
    centre = rig.Centre(tmp_path / "central", pack, ("n1",))
    node = Node("n1", tmp_path / "n1", centre.broker_port, pack)
    world = World(centre, node)
    try:
        node.start()
        until(lambda: len(node.spooled) >= 3, "the node does not spool without a broker")
        assert node.process is not None
        assert "Traceback" not in node.process.said
        centre.start()
        world.running()
        world.accounted()
        assert centre.frames() >= 3
    finally:
        world.close()


def test_broker__given_and_down_at_the_start_of_the_centre(tmp_path: Path, pack: Path) -> None:
    port = rig.free_port()
    url = f"mqtt://%40centre:{rig.NODE_PASSWORD}@127.0.0.1:{port}"
    world = World(rig.Centre(tmp_path / "central", pack, ("n1",), url), Node("n1", tmp_path / "n1", port, pack))
    try:
        world.centre.start()
        users = {"@centre": rig.NODE_PASSWORD, "n1": rig.NODE_PASSWORD}
        world.broker = rig.embedded_broker(tmp_path / "broker", port, users)
        world.running().more_frames(1)
        assert world.centre.process is not None
        assert "Traceback" not in world.centre.process.said
    finally:
        world.close()


class Mjpeg:
    """A network camera that speaks HTTP, and can be switched off and on."""

    def __init__(self, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                picture = cv2.imencode(".jpg", np.full((192, 320, 3), 90, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
                while not camera.off.wait(0.1):
                    try:
                        self.wfile.write(head + picture + b"\r\n")
                    except OSError:
                        return

            def log_message(self, *_: object) -> None:
                pass

        camera = self
        self.off = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = False
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.off.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def alone(tmp_path: Path, pack: Path) -> Iterator[Node]:
    """A node without a centre."""
    node = Node("n1", tmp_path / "n1", rig.free_port(), pack)
    yield node
    node.kill()


def grows(node: Node) -> None:
    """Wait until the node keeps further frames."""
    before = set(node.spooled)
    until(lambda: set(node.spooled) - before, "the node keeps no further frame")


def said(node: Node, text: str) -> bool:
    """Say whether the node's log has `text`."""
    return node.process is not None and text in node.process.said


def test_camera__http_goes_away_and_comes_back(alone: Node) -> None:
    port = rig.free_port()
    camera = Mjpeg(port)
    alone.source = f"http://127.0.0.1:{port}/video"
    alone.start()
    try:
        grows(alone)
    finally:
        camera.close()
    until(lambda: said(alone, "trying again in"), "the node does not notice that its camera is away")
    camera = Mjpeg(port)
    try:
        grows(alone)
    finally:
        camera.close()
    assert not said(alone, "Traceback")


def test_camera__file_that_loops_goes_away_and_comes_back(tmp_path: Path, alone: Node) -> None:
    path = video(tmp_path / "gate.avi", 15)
    alone.source = str(path)
    alone.start()
    grows(alone)
    path.rename(tmp_path / "away.avi")
    until(lambda: said(alone, "no such file"), "the node does not notice that its video is away")
    (tmp_path / "away.avi").rename(path)
    grows(alone)
    assert not said(alone, "Traceback")


def test_camera__rtsp_goes_away_and_comes_back(tmp_path: Path, alone: Node) -> None:
    probe = [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no RTSP server: the packages python3-gi and gir1.2-gst-rtsp-server-1.0 are missing")
    port = rig.free_port()
    line = [SYSTEM_PYTHON, str(RTSP_SERVER), str(port)]
    server = rig.Process(line, tmp_path / "rtsp.log")
    alone.source = f"rtsp://127.0.0.1:{port}/live"
    alone.start()
    try:
        grows(alone)
        server.kill()
        until(lambda: said(alone, "trying again in"), "the node does not notice that its camera is away")
        server = rig.Process(line, tmp_path / "rtsp.log")
        grows(alone)
    finally:
        server.kill()
    assert not said(alone, "Traceback")


def test_disk__full_keeps_the_node_watching(tmp_path: Path, alone: Node) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=3m none {small}"
    name = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*name, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("no file system of a size can be mounted here: unshare is missing or forbidden")
    alone.start().stop()  # writes its configuration
    config = alone.folder / "node.yaml"
    told = json.loads(config.read_text())
    told["data"] = str(small / "data")
    told["policy"] |= {"frames_per_hour": 360_000, "min_gap_s": 0}
    told["cameras"]["gate"]["fps"] = 100
    told["cameras"]["gate"]["paced"] = False
    config.write_text(json.dumps(told))
    run = " ".join([sys.executable, "-m", "edge.cli", "run", "--config", str(config)])
    alone.process = rig.Process([*name, "sh", "-c", f"{mount} && exec {run}"], tmp_path / "full.log")
    until(lambda: said(alone, "a frame cannot be spooled"), "the disk does not become full")
    time.sleep(1)
    assert alone.process.popen.poll() is None
    assert not said(alone, "Traceback")
    assert alone.stop() == 0
