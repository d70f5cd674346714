"""Kill the centre before each of its system calls that change a file, while two people label (P19).

    python -m tests.faults.every_answer FOLDER [--every 1 --first 0] [--bug early | unseen]

For each of these calls: a fresh store, a server on a port of its own, two people who label, draft, skip and collide,
death at that call, and then: every answer that was acknowledged is in the history as it was sent, what the frame shows
is its newest answer and no half of one, every conflict showed what stood there; and once all is sent again, nothing is
there twice. Prints one JSON line. ``early`` acknowledges before the commit, ``unseen`` stores over answers that nobody
saw: both are what the test must find.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from central.annotate import profile, queue
from central.api.access import LoginGate, open_session
from central.api.app import create_app
from central.api.context import Centre
from central.jobs.process import ProcessJobs
from central.notify import Notifier
from central.settings import Settings
from central.store import blobs, database
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import Annotation, Frame, Node, User
from tests.faults import tracer

MOST = 3000
PEOPLE = ("ann", "bob")
ACKNOWLEDGED = "acknowledged.jsonl"
LATE_S = 0.05
"""Between the planted early answer and the commit."""
CAR = {"box": [10.0, 20.0, 60.0, 50.0], "label": "car"}
BUS = {"box": [100.0, 20.0, 260.0, 150.0], "label": "bus", "mask": [[[100.0, 20.0], [260.0, 20.0], [180.0, 150.0]]]}
FRAMES = tuple(f"{n:08x}-0000-7000-8000-000000000000" for n in range(1, 4))


async def prepare(folder: Path) -> None:
    """Make a store with three frames and two people, and write their tokens down."""
    store = database.connect(database.sqlite_url(folder / "central.db"))
    await migrate(store.engine)
    tokens = {}
    async with store.write() as session:
        session.add(Node(name="n1"))
        session.add_all(User(name=name, role="annotator", password="none") for name in PEOPLE)
        await session.flush()
        for number, frame in enumerate(FRAMES):
            session.add(
                Frame(
                    id=frame, node="n1", camera="c1", boot="b1", sequence=number, captured_at=datetime.now(UTC),
                    width=640, height=360, size_bytes=9, sha256=f"{number:064x}", blob=f"frames/{frame}.jpg",
                )
            )  # fmt: skip
            await session.flush()
            session.add(Annotation(frame=frame, x1=1, y1=2, x2=30, y2=40, label="car", source="node", score=0.7))
        for name in PEOPLE:
            tokens[name] = await open_session(session, name, 1.0)
    await store.close()
    (folder / "tokens.json").write_text(json.dumps(tokens))


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """Serve the API of a centre without nodes on a free port; give its address."""
    settings = Settings(data=folder)
    store = database.connect(settings.database)
    jobs, images = ProcessJobs(store, folder / "jobs"), blobs.connect("memory:", folder / "blobs")
    fleet: Any = None
    centre = Centre(settings, store, images, profile.load("street"), jobs, fleet, LoginGate(), Notifier())

    @asynccontextmanager
    async def open_centre() -> AsyncIterator[Centre]:
        yield centre

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(open_centre, folder / "dist"), log_level="critical")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        server.should_exit = True
        await task
    await jobs.close()
    await store.close()


class Editor:
    """Somebody who labels, and writes down what was acknowledged."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        token = json.loads((folder / "tokens.json").read_text())[name]
        self.http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60.0
        )
        self.name = name
        self._handle = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def say(self, method: str, frame: str, what: str, revision: int, **more: Any) -> None:
        """Send something about `frame`, and note the answer."""
        answer = await self.http.request(method, f"/frames/{frame}/{what}", json={"revision": revision} | more)
        told = answer.json()
        line = {
            "by": self.name, "frame": frame, "what": what, "status": answer.status_code, "sent": revision,
            "boxes": more.get("boxes", []),
            "shown": told.get("error", {}).get("detail") if answer.status_code == 409 else told,
        }  # fmt: skip
        os.write(self._handle, (json.dumps(line) + "\n").encode())


async def edit(folder: Path) -> None:
    """Two people at work."""
    async with serving(folder) as url:
        ann, bob = (Editor(name, url, folder) for name in PEOPLE)
        await ann.say("PUT", FRAMES[0], "draft", 0, boxes=[CAR])
        await ann.say("PUT", FRAMES[0], "labels", 0, boxes=[CAR, BUS], complete_for=["car"])
        await bob.say("PUT", FRAMES[0], "labels", 0, boxes=[])
        await asyncio.gather(
            ann.say("PUT", FRAMES[1], "labels", 0, boxes=[CAR]), bob.say("PUT", FRAMES[1], "labels", 0, boxes=[BUS])
        )
        await bob.say("POST", FRAMES[2], "skip", 0, reason="cant_tell")
        await bob.say("PUT", FRAMES[0], "labels", 1, boxes=[BUS])
        await bob.say("PUT", FRAMES[2], "draft", 1, boxes=[BUS])
        for editor in (ann, bob):
            await editor.http.aclose()


def _read(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "central.db")) as connection:
        return connection.execute(query).fetchall()


def _acknowledged(folder: Path) -> list[dict[str, Any]]:
    path = folder / ACKNOWLEDGED
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _promised(line: dict[str, Any], history: dict[tuple[str, int], tuple[str, Any]], drafts: set[Any]) -> str:
    """Return what is wrong with one acknowledgement, or nothing."""
    frame, shown = line["frame"], line["shown"]
    if line["status"] == 409:
        known = history.get((frame, shown.get("revision", -1)))
        seen = [b["label"] for b in shown.get("boxes", ())]
        return "" if known and [b["label"] for b in known[1]] == seen else "a conflict did not show what stood there"
    if line["status"] != 200:
        return f"status {line['status']}"
    if line["what"] == "draft":
        answered = any(key[0] == frame and by == line["by"] for key, (by, _) in history.items())
        return "" if answered or (frame, line["by"]) in drafts else "a draft is lost"
    if shown["revision"] != line["sent"] + 1:
        return "an answer was stored over one that was not seen"
    kept = history.get((frame, shown["revision"]))
    if kept is None or kept[0] != line["by"]:
        return "an acknowledged answer is lost"
    return "" if line["what"] == "skip" or kept[1] == line["boxes"] else "an acknowledged answer was changed"


def look(folder: Path) -> list[str]:
    """Return what is wrong with the store."""
    rows = _read(folder, "SELECT frame, revision, author, boxes, state FROM label_revision")
    history = {(r[0], r[1]): (r[2], json.loads(r[3])) for r in rows}
    drafts = set(_read(folder, "SELECT frame, author FROM draft"))
    wrong = [f"{line['what']}: {bad}" for line in _acknowledged(folder) if (bad := _promised(line, history, drafts))]
    for frame, revision, state in _read(folder, "SELECT id, revision, state FROM frame"):
        if sorted(n for f, n in history if f == frame) != list(range(1, revision + 1)):
            wrong.append(f"{frame[:8]}: the history has gaps")
        boxes = _read(folder, f"SELECT revision FROM annotation WHERE frame = '{frame}' AND confirmed")
        if state == "labelled" and [b[0] for b in boxes] != [revision] * len(history[frame, revision][1]):
            wrong.append(f"{frame[:8]}: what it shows is not its newest answer")
    return wrong


def _twice(folder: Path) -> list[str]:
    """Return what is there twice, or not at all, after everything was sent again."""
    rows = _read(folder, "SELECT author, frame, boxes, state FROM label_revision")
    wrong = [f"{row[0]} answered {row[1][:8]} twice" for row in set(rows) if rows.count(row) > 1]
    return wrong + [f"{frame[:8]} has no answer" for frame in FRAMES if not any(r[1] == frame for r in rows)]


def enumerate_calls(folder: Path, every: int, first: int, plant: Callable[[], None]) -> dict[str, Any]:
    """Kill at each `every`-th call from `first` on, and return what was found wrong; `plant` the bug, if any, first."""
    clean, work, wrong = folder / "clean", folder / "work", list[str]()
    clean.mkdir(parents=True)
    assert tracer.plain(lambda: asyncio.run(prepare(clean))) == 0
    plant()
    for point in range(first, MOST, every):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(clean, work)
        seen, killed = tracer.run(lambda: asyncio.run(edit(work)), work, point)
        wrong += [f"call {point}: {bad}" for bad in look(work)]
        again = tracer.plain(lambda: asyncio.run(edit(work)))
        wrong += [f"call {point}, sent again: {bad}" for bad in [*look(work), *_twice(work)]]
        if again != 0:
            wrong.append(f"call {point}: the centre did not come back")
        print(f"call {point}: {'killed' if killed else 'ended'} after {seen}", file=sys.stderr, flush=True)
        if not killed:
            return {"calls": seen, "points": (point - first) // every, "wrong": wrong, "ok": not wrong}
    return {"calls": MOST, "points": MOST, "wrong": ["labelling does not end"], "ok": False}


def early() -> None:
    """Plant the bug: what is written is committed a little after it was acknowledged."""
    waiting = set[asyncio.Task[None]]()

    async def commit(self: Any, session: Any) -> None:
        await asyncio.sleep(LATE_S)
        await session.commit()
        await session.close()
        self._turn.release()

    @asynccontextmanager
    async def write(self: Any) -> AsyncIterator[Any]:
        await self._turn.acquire()
        session = self._writes()
        try:
            yield session
        except BaseException:
            await session.close()
            self._turn.release()
            raise
        await session.flush()
        waiting.add(asyncio.create_task(commit(self, session)))

    Database.write = write  # type: ignore[method-assign]


def unseen() -> None:
    """Plant the bug: an answer counts whatever stands there by now."""
    real = queue._take_turn

    async def take(session: Any, answer: Any, *more: Any) -> int:
        frame = await queue.load(session, answer.frame)
        return await real(session, replace(answer, revision=frame.revision), *more)

    queue._take_turn = take


BUGS: dict[str, Callable[[], None]] = {"early": early, "unseen": unseen}


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--bug", choices=list(BUGS))
    given = parser.parse_args()
    plant = BUGS[given.bug] if given.bug else lambda: None
    try:
        answer = enumerate_calls(given.folder, given.every, given.first, plant)
    except PermissionError as error:
        print(error, file=sys.stderr)
        return 77
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
