"""Lending the queue to CVAT through its own SDK, against a small real HTTP server that plays it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from central.annotate import errands, queue
from central.annotate.boxes import LabelBox
from central.annotate.bridges import BridgeError
from central.annotate.errands import Place
from central.annotate.exchange import Project
from central.store.blobs import Blobs
from central.store.database import Database

pytestmark = pytest.mark.slow
PROJECT = Project(("car", "bus"), ("rain",))
TOKEN = "b" * 40
DATE = "2026-01-01T00:00:00Z"
Reply = tuple[int, dict[str, str], bytes]


def _json(status: int, body: Any) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


class Cvat:
    """One task, its images and annotations, with uploads in parts and requests that end later, as the real one has."""

    def __init__(self) -> None:
        self.spec: dict[str, Any] = {}
        self.images: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.annotations = b""
        self.completed: set[str] = set()
        self.formats: list[str] = []
        self.hostile = False
        self.asked = 0
        self.url = ""

    def task(self) -> dict[str, Any]:
        """Return the task as the server describes it."""
        return {
            "id": 7, "name": self.spec["name"], "mode": "annotation", "owner": None, "created_date": DATE,
            "updated_date": DATE, "overlap": 0, "segment_size": 0, "status": "annotation", "dimension": "2d",
            "bug_tracker": "", "organization": None, "data": 1, "size": len(self.images), "subset": "",
            "source_storage": None, "target_storage": {"id": 1, "location": "local", "cloud_storage_id": None},
            "labels": {"url": f"{self.url}/api/labels?task_id=7"}, "jobs": {"count": 1, "completed": 0, "validation": 0,
            "url": f"{self.url}/api/jobs?task_id=7"}, "issues": {"url": f"{self.url}/api/issues?task_id=7", "count": 0},
        }  # fmt: skip

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """Return status, headers and body of the answer."""
        parts = urlsplit(path)
        where, asked = parts.path.rstrip("/"), parse_qs(parts.query)
        if where == "/api/server/about":
            about = {"name": "CVAT", "description": "", "version": "2.80.0", "logo_url": "http://x", "subtitle": ""}
            return _json(200, about)
        if self.hostile or headers.get("authorization") != f"Bearer {TOKEN}":
            return _json(401, {"detail": f"Invalid token. {headers.get('authorization')}"})
        if (method, where) == ("POST", "/api/tasks"):
            self.spec = json.loads(body)
            return _json(201, self.task())
        if (method, where) == ("GET", "/api/tasks/7"):
            return _json(200, self.task())
        if where == "/api/tasks/7/data/meta":
            return _json(200, self._meta())
        if where == "/api/jobs":
            return _json(200, {"count": 3, "next": None, "previous": None, "results": self._jobs()})
        if where.startswith("/api/requests/"):
            return self._request(where.rsplit("/", 1)[1])
        if (method, where) == ("POST", "/api/tasks/7/dataset/export"):
            self.formats.append(asked["format"][0])
            return _json(202, {"rq_id": "export"})
        if (method, where) == ("GET", "/api/download"):
            return 200, {"Content-Type": "application/zip"}, self._archive()
        if where.startswith(("/api/tasks/7/data", "/api/tasks/7/annotations")):
            return self._upload(method, where, headers, body, asked)
        return _json(404, {"detail": "not found"})

    def _meta(self) -> dict[str, Any]:
        frames = [
            {"name": name, "width": 64, "height": 48, "related_files": 0, "has_related_context": False, "id": n}
            for n, name in enumerate(sorted(self.images))
        ]
        return {
            "size": len(frames), "chunk_size": 36, "image_quality": 95, "start_frame": 0, "stop_frame": len(frames) - 1,
            "frame_filter": "", "frames": frames, "deleted_frames": [], "included_frames": None, "storage": "local",
            "storage_method": "cache", "chunks_updated_date": DATE,
        }  # fmt: skip

    def _jobs(self) -> list[dict[str, Any]]:
        """Return a job per image."""
        return [
            {
                "id": n, "url": f"{self.url}/api/jobs/{n}", "task_id": 7, "start_frame": n, "stop_frame": n,
                "frame_count": 1, "state": "completed" if name in self.completed else "in progress",
                "stage": "annotation", "status": "annotation", "type": "annotation", "mode": "annotation",
                "dimension": "2d", "project_id": None, "assignee": None, "bug_tracker": "", "data_chunk_size": 36,
                "data_compressed_chunk_type": "imageset", "data_original_chunk_type": "imageset",
                "created_date": DATE, "updated_date": DATE, "organization": None, "guide_id": None,
                "parent_job_id": None, "consensus_replicas": 0, "source_storage": None, "target_storage": None,
                "assignee_updated_date": None, "labels": {"url": f"{self.url}/api/labels?job_id={n}"},
                "issues": {"url": f"{self.url}/api/issues?job_id={n}", "count": 0}, "validation_mode": None,
            }
            for n, name in enumerate(sorted(self.images))
        ]  # fmt: skip

    def _request(self, name: str) -> Reply:
        """Return a request that runs when it is first asked for, and is done after that."""
        self.asked += 1
        row: dict[str, Any] = {
            "id": name, "status": "started" if self.asked % 2 else "finished", "message": "", "progress": 0.5,
            "created_date": DATE, "operation": {"type": "export:annotations", "target": "task"},
        }  # fmt: skip
        if name == "export":
            row["result_url"] = f"{self.url}/api/download"
        return _json(200, row)

    def _upload(
        self, method: str, where: str, headers: dict[str, str], body: bytes, asked: dict[str, list[str]]
    ) -> Reply:
        if method == "PATCH":
            name = where.rsplit("/", 1)[1]
            self.uploads[name] += body
            return 204, {"Upload-Offset": str(len(self.uploads[name])), "Tus-Resumable": "1.0.0"}, b""
        if "upload-multiple" in headers:
            for name, image in _files(headers["content-type"], body):
                self.images[name.rsplit("/", 1)[-1]] = image
            return _json(200, {})
        if "upload-length" in headers:
            name = base64.b64decode(headers["upload-metadata"].split(",")[0].split()[1]).decode()
            self.uploads[name] = b""
            more = {"Location": f"{self.url}{where}/{name}", "Upload-Filename": name, "Tus-Resumable": "1.0.0"}
            return 201, more, b""
        if "upload-finish" in headers and "annotations" in where:
            self.formats.append(asked["format"][0])
            self.annotations = self.uploads[asked["filename"][0]]
        return _json(202, {"rq_id": "done"})

    def _archive(self) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("annotations.xml", self.annotations)
        return made.getvalue()


def _files(kind: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return the files of a multipart body."""
    boundary = b"--" + kind.split("boundary=")[1].encode()
    found = []
    for part in body.split(boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        named = re.search(rb'filename="([^"]+)"', head)
        if named:
            found.append((named[1].decode(), data.removesuffix(b"\r\n")))
    return found


@pytest.fixture
def cvat() -> Iterator[Cvat]:
    """The server, which knows its URL."""
    world = Cvat()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, data = world.handle(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_HEAD = _do  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    world.url = f"http://127.0.0.1:{server.server_port}"
    yield world
    server.shutdown()
    server.server_close()


def tool(url: str) -> Place:
    root = os.environ.get("WAYSIDE_INTEROP", "")
    python = Path(root) / "cvat-sdk" / "bin" / "python"
    if not root or not python.exists():
        pytest.skip("no environment of cvat-sdk; see tests/central/annotate/interop/make.py")
    return Place("cvat", url, TOKEN, python)


def answered(world: Cvat, boxes: dict[str, list[tuple[str, float, float, float, float]]]) -> None:
    """Let somebody answer there: the boxes of each image are those, and nobody gets to images that are not named."""
    root = ElementTree.fromstring(world.annotations)
    for image in root.iter("image"):
        for child in list(image):
            image.remove(child)
        for label, left, top, right, bottom in boxes.get(image.get("name", ""), []):
            corners = {"xtl": left, "ytl": top, "xbr": right, "ybr": bottom}
            about = {"label": label, "source": "manual", "occluded": "0", "z_order": "0"}
            ElementTree.SubElement(image, "box", about | {k: f"{v:.2f}" for k, v in corners.items()})
    world.completed = set(boxes)
    world.annotations = ElementTree.tostring(root)


async def test_push_and_pull__through_the_sdk(
    db: Database, blobs: Blobs, jpeg: bytes, add_frame: Any, cvat: Cvat
) -> None:
    there = tool(cvat.url)
    frames = [await add_frame(n, ("car", 0.7), value=n / 10) for n in (1, 2, 3)]
    errand, count = await errands.push(db, blobs, there, PROJECT, 10, "Winter")
    assert (errand, count) == (1, 3)
    assert cvat.spec["name"] == "Winter"
    assert {"car", "bus"} <= {label["name"] for label in cvat.spec["labels"]}
    assert {Path(name).stem for name in cvat.images} == set(frames)
    assert set(cvat.images.values()) == {jpeg}
    assert cvat.formats == ["CVAT 1.1"]
    images = {image.get("name"): image for image in ElementTree.fromstring(cvat.annotations).iter("image")}
    assert [images[name].get("id") for name in sorted(cvat.images)] == ["0", "1", "2"]  # found there by either
    assert images[f"{frames[0]}.jpg"].find("box").get("label") == "car"  # type: ignore[union-attr]

    answered(cvat, {f"{frames[0]}.jpg": [("bus", 16, 5, 32, 29)], f"{frames[1]}.jpg": [("car", 0, 5, 16, 29)]})
    async with db.write() as session:  # somebody is quicker here
        answer = queue.Answer(frames[1], 0, "maria", [LabelBox((1, 1, 9, 9), "bus")])
        await queue.label(session, answer, PROJECT.labels, PROJECT.tags)
    done = await errands.pull(db, there, PROJECT, "cvat")
    assert cvat.formats[-1] == "CVAT for images 1.1"
    assert (done.labelled, done.boxes, done.conflicts, done.strange) == (1, 1, 1, 0)
    async with db.read() as session:
        one, two, three = [await queue.load(session, frame) for frame in frames]
    assert [(a.label, a.x1, a.x2) for a in one.annotations] == [("bus", 16.0, 32.0)]
    assert one.labelled_by == "cvat"
    assert [a.label for a in two.annotations] == ["bus"]
    assert three.state == "pending"  # nobody touched it there


async def test_push__refused_without_the_secret_in_words(
    db: Database, blobs: Blobs, add_frame: Any, cvat: Cvat
) -> None:
    there = tool(cvat.url)
    await add_frame(1)
    cvat.hostile = True
    with pytest.raises(BridgeError) as caught:
        await errands.push(db, blobs, there, PROJECT, 10, "x")
    assert "Invalid token" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
