"""Lending the queue to Label Studio through its own SDK, against a small real HTTP server that plays it."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
TOKEN = "a" * 40


class Studio:
    """Projects and tasks in memory; `hostile` makes it answer with an error that holds what it was sent."""

    def __init__(self) -> None:
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.hostile = False

    def answer(self, task: dict[str, Any], *results: dict[str, Any]) -> None:
        """Let somebody answer a task there."""
        whole = [
            {"id": f"x{n}", "to_name": "image", "original_width": 64, "original_height": 48, **r}
            for n, r in enumerate(results)
        ]
        task["annotations"] = [{"id": 9, "result": whole, "was_cancelled": False}]

    def handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Return status and answer, as the real server's documentation has them."""
        parts = urlsplit(path)
        where = parts.path.rstrip("/")
        if self.hostile:
            return 401, {"detail": f"Invalid token. {TOKEN}"}
        if (method, where) == ("POST", "/api/projects"):
            number = len(self.projects) + 1
            self.projects[number] = body | {"id": number}
            return 201, self.projects[number]
        if method == "POST" and where.endswith("/import"):
            for task in body:
                self.tasks.append(
                    task | {"id": len(self.tasks) + 1, "project": int(where.split("/")[3]), "annotations": []}
                )
            return 201, {"task_count": len(body), "annotation_count": 0, "duration": 0.1}
        if (method, where) == ("GET", "/api/tasks"):
            asked = parse_qs(parts.query)
            page, size = int(asked.get("page", ["1"])[0]), int(asked["page_size"][0])
            mine = [t for t in self.tasks if t["project"] == int(asked["project"][0])]
            shown = mine[(page - 1) * size : page * size]
            return 200, {"tasks": shown, "total": len(mine), "total_annotations": 0, "total_predictions": 0}
        return 404, {"detail": "not found"}


@pytest.fixture
def studio() -> Iterator[tuple[Studio, str]]:
    """The server and its URL."""
    world = Studio()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = world.handle(self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield world, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def tool(url: str) -> Place:
    root = os.environ.get("WAYSIDE_INTEROP", "")
    python = Path(root) / "label-studio-sdk" / "bin" / "python"
    if not root or not python.exists():
        pytest.skip("no environment of label-studio-sdk; see tests/central/annotate/interop/make.py")
    return Place("label-studio", url, TOKEN, python)


def box(x: float, label: str) -> dict[str, Any]:
    value = {"x": x, "y": 10, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": [label]}
    return {"type": "rectanglelabels", "from_name": "boxes", "value": value}


def chosen(name: str, *choices: str) -> dict[str, Any]:
    return {"type": "choices", "from_name": name, "value": {"choices": list(choices)}}


async def test_push_and_pull__through_the_sdk(
    db: Database, blobs: Blobs, jpeg: bytes, add_frame: Any, studio: tuple[Studio, str]
) -> None:
    world, url = studio
    there = tool(url)
    frames = [await add_frame(n, ("car", 0.7), value=n / 10) for n in (1, 2, 3)]
    errand, count = await errands.push(db, blobs, there, PROJECT, 10, "Winter")
    assert (errand, count) == (1, 3)
    assert world.projects[1]["title"] == "Winter"
    assert "RectangleLabels" in world.projects[1]["label_config"]
    tasks = {Path(t["data"]["name"]).stem: t for t in world.tasks}
    assert set(tasks) == set(frames)
    image = tasks[frames[0]]["data"]["image"]
    assert base64.b64decode(image.removeprefix("data:image/jpeg;base64,")) == jpeg
    assert tasks[frames[0]]["predictions"][0]["result"][0]["value"]["rectanglelabels"] == ["car"]

    world.answer(tasks[frames[0]], box(25, "bus"), chosen("tags", "rain"), chosen("complete for", "bus"))
    world.answer(tasks[frames[1]], box(0, "car"))
    async with db.write() as session:  # somebody is quicker here
        answer = queue.Answer(frames[1], 0, "maria", [LabelBox((1, 1, 9, 9), "bus")])
        await queue.label(session, answer, PROJECT.labels, PROJECT.tags)
    done = await errands.pull(db, there, PROJECT, "label-studio")
    assert (done.labelled, done.boxes, done.conflicts, done.strange) == (1, 1, 1, 0)
    async with db.read() as session:
        one, two, three = [await queue.load(session, frame) for frame in frames]
    assert [(a.label, a.x1, a.x2) for a in one.annotations] == [("bus", 16.0, 32.0)]
    assert (one.tags, one.complete_for, one.labelled_by) == ({"rain": "present"}, ["bus"], "label-studio")
    assert [a.label for a in two.annotations] == ["bus"]
    assert three.state == "pending"


async def test_push__refused_without_the_secret_in_words(
    db: Database, blobs: Blobs, add_frame: Any, studio: tuple[Studio, str]
) -> None:
    world, url = studio
    there = tool(url)
    await add_frame(1)
    world.hostile = True
    with pytest.raises(BridgeError) as caught:
        await errands.push(db, blobs, there, PROJECT, 10, "x")
    assert "Invalid token" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
