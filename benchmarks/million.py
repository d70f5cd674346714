"""How long people wait for the centre with a million frames and ten million boxes in its database.

    python -m benchmarks.million [--frames 1000000] [--boxes 10] [--databases sqlite postgresql] [--seconds 5] --json
    python -m benchmarks.million --folder /var/tmp/million --fill-only      fill once, then measure as often as you like
    python -m benchmarks.million --folder /var/tmp/million --seconds 5 --json

Each database is filled as a city would have filled it in half a year (`benchmarks.million_data`), SQLite as one file,
PostgreSQL on a server of its own that syncs as it does by default. Then a real centre is started on it, and `--users`
people ask one route after the other as fast as answers come, each for `--seconds`; what they wait is measured where
they are. Background work of the centre (the order of the queue, proposals) goes on meanwhile, as it does in a city.

`p95_ms` and `p50_ms` by database and route; `late` lists the routes above their limit (`LIMITS_MS`, those of the
workbench). `search_ready_s` is the first search after a start, which reads all frames into memory, and `memory_mb` what
the centre holds afterwards. Exit status 1 where a route is late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from sqlalchemy import text

from benchmarks.common import parser, say
from benchmarks.million_data import LABELS, Size, fill
from benchmarks.processes import family, memory
from benchmarks.workbench import Ask, _get, _load, _next, started
from central.store import database
from tests.servers.postgres import MissingError, Postgres

LIMITS_MS: Final = {
    "queue": 100.0, "next": 100.0, "search": 100.0, "search by label": 100.0, "similar": 200.0, "facets": 100.0,
    "frames": 100.0, "frames of a camera": 100.0, "frames labelled": 100.0, "frame": 100.0, "history": 100.0,
    "previous": 100.0, "label": 100.0, "timeline": 200.0, "overview": 200.0, "agreement": 1000.0, "sources": 1000.0,
}  # fmt: skip
"""Milliseconds at p95: goals of the workbench for what somebody waits for at every frame (likeness 200), and a second
for a page of figures that somebody opens once a day."""
DATABASES: Final = ("sqlite", "postgresql")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ids(url: str, count: int) -> dict[str, list[tuple[str, str, str]]]:
    """Return some frames of each state: id, node and camera, spread over all."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    made = database.connect(url)
    with made._threads.connect() as connection:
        total = connection.execute(text('SELECT max("index") FROM frame')).scalar_one()
        query = f'SELECT state, id, node, camera FROM frame WHERE "index" % {max(1, total // count)} = 0 ORDER BY id'
        for state, *rest in connection.execute(text(query)):
            found.setdefault(str(state), []).append((rest[0], rest[1], rest[2]))
    asyncio.run(made.close())
    return found


async def _label(client: httpx.AsyncClient, frame: str) -> float:
    """Save a label on `frame`, and return how long that took."""
    row = (await client.get(f"/frames/{frame}")).json()
    body = {"revision": row["revision"], "boxes": [{"box": [10, 10, 60, 60], "label": "car"}], "complete_for": ["car"]}
    begin = time.perf_counter()
    answer = await client.put(f"/frames/{frame}/labels", json=body)
    taken = time.perf_counter() - begin
    if answer.status_code != 409:  # somebody else was quicker
        answer.raise_for_status()
    return taken


def routes(known: dict[str, list[tuple[str, str, str]]]) -> dict[str, Ask]:
    """Return what is asked, by name."""
    pending, labelled = known["pending"], known["labelled"]
    middle = pending[len(pending) // 2][0]
    every: dict[str, Any] = {"since": "2026-04-01T00:00:00Z", "min_score": 0.5, "limit": 24}
    searches = [{"camera": c, "label": LABELS[n % 5], **every} for n, (_, _, c) in enumerate(pending[:40])]
    by_label = [{"label": name, "kind": "label", "limit": 24} for name in LABELS]
    pages: list[dict[str, Any]] = [{"limit": 50}, {"limit": 50, "cursor": middle}]
    of_camera = [{"node": node, "camera": camera, "limit": 50} for _, node, camera in pending[:100]]
    by_state: list[dict[str, Any]] = [{"state": s, "limit": 50} for s in ("labelled", "skipped")]
    by_state += [{**each, "cursor": middle} for each in by_state]

    def each(pattern: str, rows: list[tuple[str, str, str]], **query: Any) -> Ask:
        async def ask(client: httpx.AsyncClient, turn: int) -> float:
            frame, node, camera = rows[turn % len(rows)]
            return await _get(pattern.format(frame=frame, node=node, camera=camera), query)(client, turn)

        return ask

    async def label(client: httpx.AsyncClient, turn: int) -> float:
        return await _label(client, pending[turn % len(pending)][0])

    spans = {"from": "2026-06-22T00:00:00Z", "to": "2026-06-29T00:00:00Z"}
    return {
        "queue": _get("/queue", {"limit": 20}), "next": _next, "search": _get("/search", *searches),
        "search by label": _get("/search", *by_label), "facets": _get("/search/facets"),
        "similar": _get("/search", *({"like": i, "limit": 24} for i, _, _ in pending[:200])),
        "frames": _get("/frames", *pages), "frames of a camera": _get("/frames", *of_camera),
        "frames labelled": _get("/frames", *by_state), "frame": each("/frames/{frame}", pending),
        "history": each("/frames/{frame}/history", labelled),
        "previous": each("/frames/{frame}/previous", labelled[len(labelled) // 2 :]),
        "timeline": each("/nodes/{node}/cameras/{camera}/timeline", pending, **spans), "label": label,
        "overview": _get("/overview"), "agreement": _get("/agreement"), "sources": _get("/sources"),
    }  # fmt: skip


async def _ask_all(api: str, token: str, known: Any, given: argparse.Namespace) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    begin = time.perf_counter()
    httpx.get(f"{api}/search", params={"limit": 1}, headers=headers, timeout=300).raise_for_status()
    ready = time.perf_counter() - begin
    p50, p95, answers = {}, {}, {}
    for name, ask in routes(known).items():
        if given.only and name not in given.only:
            continue
        taken = await _load(api, token, ask, given.users, given.seconds)
        p50[name], p95[name] = 1000 * statistics.median(taken), 1000 * float(np.quantile(taken, 0.95))
        answers[name] = len(taken)
        say(f"{name:20} p50 {p50[name]:8.1f}  p95 {p95[name]:8.1f} ms  ({len(taken)})")
    return {
        "p95_ms": {name: round(value, 1) for name, value in p95.items()},
        "p50_ms": {name: round(value, 1) for name, value in p50.items()},
        "late": [name for name, value in p95.items() if value > LIMITS_MS[name]],
        "answers": answers, "search_ready_s": round(ready, 2),
    }  # fmt: skip


def _serve(url: str, folder: Path, token: str, known: Any, given: argparse.Namespace) -> dict[str, Any]:
    port = _free_port()
    serve = [sys.executable, "-m", "central.cli", "serve", "--data", str(folder), "--port", str(port)]
    serve += ["--broker-port", str(_free_port())]
    api = f"http://127.0.0.1:{port}/api/v1"
    with started(serve, f"{api}/health", folder / "serve.log", WAYSIDE_DATABASE_URL=url):
        figures = asyncio.run(_ask_all(api, token, known, given))
        figures["memory_mb"] = round(max(memory(pid) for pid in family(os.getpid())[1:]) / 1e6)
    return figures


@contextmanager
def _server(kind: str, folder: Path) -> Iterator[str]:
    """A database of `kind` in `folder`, kept there: its URL."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'central.db'}"
        return
    held = folder / "pg"
    fresh = not (held / "data").exists()
    settings = {"shared_buffers": "2GB", "max_wal_size": "8GB", "fsync": "on", "full_page_writes": "on"}
    if fresh:
        held.mkdir(parents=True)
        server = Postgres.start(held, None, **settings)
        server.run("CREATE DATABASE wayside")
    else:
        server = Postgres.again(held, None, **settings)
    try:
        yield server.url("wayside")
    finally:
        server.stop()


def _one(kind: str, folder: Path, size: Size, given: argparse.Namespace) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "filled.json"
    with _server(kind, folder) as url:
        held = json.loads(told.read_text()) if told.exists() else None
        if held is None:
            token = secrets.token_urlsafe(32)
            held = {"token": token, "frames": size.frames, "fill_s": fill(url, size, token)}
            told.write_text(json.dumps(held))
        if held["frames"] != size.frames:
            there = held["frames"]
            raise OSError(0, f"{folder} holds {there} frames; give --frames {there}, or another folder")
        if given.fill_only:
            return {"fill_s": held["fill_s"]}
        return _serve(url, folder, held["token"], _ids(url, 2000), given) | {"fill_s": held["fill_s"]}


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of every database asked for."""
    size = Size(given.frames, given.boxes, given.cameras)
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayside-million-")))
        if given.folder is None:
            folder.chmod(0o755)  # PostgreSQL runs as somebody else
        found = {kind: _one(kind, folder / kind, size, given) for kind in given.databases}
    late = {kind: each["late"] for kind, each in found.items() if each.get("late")}
    return {"frames": size.frames, "boxes": size.frames * size.boxes, "cameras": size.cameras, **found, "late": late}


def main() -> int:
    """Parse, run, print one JSON line."""
    made = parser("How long people wait for the centre with a million frames.", images=False)
    made.add_argument("--frames", type=int, default=1_000_000)
    made.add_argument("--boxes", type=int, default=10, help="on each frame")
    made.add_argument("--cameras", type=int, default=1000)
    made.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    made.add_argument("--folder", type=Path, help="where the databases are kept; default: nowhere")
    made.add_argument("--fill-only", action="store_true", help="put the databases together and end")
    made.add_argument("--seconds", type=float, default=5.0, help="for each route")
    made.add_argument("--users", type=int, default=2, help="who ask at the same time")
    made.add_argument("--only", nargs="+", choices=list(LIMITS_MS), help="only these routes")
    given = made.parse_args()
    try:
        answer = run(given)
    except (OSError, MissingError) as error:
        say(f"million: {error}")
        return 2
    print(json.dumps(answer))
    return 1 if answer["late"] else 0


if __name__ == "__main__":
    sys.exit(main())
