"""How long people wait for the centre, with 100,000 frames and a million boxes in its database.

    python -m benchmarks.workbench [--frames 100000] [--boxes 10] [--seconds 8] [--users 2] [--rounds 3] --json

A database is filled in a temporary folder, and a real server started on it, beside a bare FastAPI route in a process of
its own. `--users` ask one route after the other as fast as answers come, each for `--seconds`, in turn, `--rounds`
times; what they wait is measured where they are, so that it holds the HTTP client and the network, too.

`p95_ms` and `p50_ms` are by route: the page of the queue, the next frame (leased and given back), a search with four
conditions, the facets, a search by likeness, and the bare route. `ratio` is the median of the queue's page over that of
the bare route. `search_ready_s` is what the first search took, which reads all frames into memory.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from fastapi import FastAPI

from benchmarks.common import main, parser, say
from central.store import database
from central.store.migrations import migrate

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
CAMERAS: Final = 40
LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
SHARES: Final = (0.2, 0.08, 0.55, 0.05, 0.12)
DIMENSIONS: Final = 64
"""Of an embedding, as the base pack gives it."""
LABELLED: Final = 0.3
"""Share of the frames that somebody answered."""
BATCH: Final = 5000
READY_S: Final = 60.0

bare = FastAPI()


@bare.get("/bare")
async def nothing() -> dict[str, bool]:
    """The least that a route can do."""
    return {"ok": True}


def _frame_id(number: int) -> str:
    at = int((START + timedelta(seconds=30 * number)).timestamp() * 1000)
    rest = hashlib.sha256(str(number).encode()).hexdigest()
    return f"{at >> 16:08x}-{at & 0xFFFF:04x}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def _frame(number: int, draws: np.random.Generator, vector: np.ndarray[Any, Any]) -> dict[str, Any]:
    labelled, at = bool(draws.random() < LABELLED), str((START + timedelta(seconds=30 * number)).replace(tzinfo=None))
    frame, camera = _frame_id(number), f"camera-{number % CAMERAS:02d}"
    tags = {"rain": "present" if draws.random() < 0.1 else "absent"} if labelled else {}
    return {
        "id": frame, "node": "n1", "site": "default", "camera": camera, "name": "", "index": number, "boot": "b",
        "sequence": number, "captured_at": at, "received_at": at, "width": 1280, "height": 720, "size_bytes": 90_000,
        "sha256": f"{number:064x}", "blob": f"frames/{frame}.jpg", "value": float(draws.random()), "revision": 0,
        "state": "labelled" if labelled else "pending", "assessment": '{"uncertainty": 0.4}', "detections": "[]",
        "selection": '{"keep": true, "probability": 0.2, "reason": "uncertain", "policy": "budget"}',
        "redactions": "[]", "complete_for": "[]", "embedding": vector.astype("<f4").tobytes(), "tags": json.dumps(tags),
        "tag_proposals": "{}", "labelled_at": at if labelled else None, "labelled_by": "maria" if labelled else None,
    }  # fmt: skip


def _boxes(frame: str, labelled: bool, count: int, draws: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    kinds = draws.choice(len(LABELS), count, p=SHARES)
    places, scores = draws.uniform(0, 600, (count, 2)), draws.uniform(0.1, 1.0, count)
    for kind, (x, y), score in zip(kinds, places.tolist(), scores.tolist(), strict=True):
        source = "person" if labelled else "node"
        told = None if labelled else score
        yield frame, x, y, x + 60, y + 40, LABELS[kind], source, told, labelled, int(labelled), "2026-01-01 00:00:00"


def fill(path: Path, frames: int, boxes: int, token: str) -> None:
    """Put `frames` with `boxes` each, and somebody who is logged in, into the database at `path`, which is migrated."""
    draws = np.random.default_rng(1)
    centres = draws.normal(0, 1, (200, DIMENSIONS))
    link = sqlite3.connect(path)
    link.execute("PRAGMA synchronous=OFF")
    now, later = "2026-01-01 00:00:00", "2099-01-01 00:00:00"
    _insert(link, "node", [{"name": "n1", "state": "online", "since": now, "first_seen": now, "last_seen": now}])
    for start in range(0, frames, BATCH):
        count = min(BATCH, frames - start)
        vectors = centres[draws.integers(0, len(centres), count)] + draws.normal(0, 0.5, (count, DIMENSIONS))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [_frame(start + n, draws, vectors[n]) for n in range(count)]
        _insert(link, "frame", rows)
        link.executemany(
            "INSERT INTO annotation (frame, x1, y1, x2, y2, label, source, score, confirmed, revision, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (box for row in rows for box in _boxes(row["id"], row["state"] == "labelled", boxes, draws)),
        )
    _insert(link, "user", [{"name": "bench", "password": "-", "role": "engineer", "disabled": False, "created": now}])
    digest = hashlib.sha256(token.encode()).hexdigest()
    _insert(
        link, "session",
        [{"token_sha256": digest, "user": "bench", "created": now, "expires": later, "last_seen": now}],
    )  # fmt: skip
    link.commit()
    link.execute("PRAGMA optimize")
    link.close()


def _insert(link: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert `rows`, with a zero of its kind for every column that must have a value and is not given."""
    columns = link.execute(f'PRAGMA table_info("{table}")').fetchall()
    missing = {
        name: "{}" if kind == "JSON" else 0 if kind.split("(")[0] in ("INTEGER", "BIGINT", "FLOAT", "BOOLEAN") else ""
        for _, name, kind, needed, default, key in columns
        if needed and default is None and not key and name not in rows[0]
    }
    names = [*rows[0], *missing]
    marks = ", ".join("?" * len(names))
    listed = ", ".join(f'"{name}"' for name in names)
    link.executemany(
        f'INSERT INTO "{table}" ({listed}) VALUES ({marks})', ([*row.values(), *missing.values()] for row in rows)
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(words: list[str], url: str, log: Path, **settings: str) -> Iterator[None]:
    """Run a server, with `settings` in its environment, for as long as the block lasts; wait until it answers at
    `url`."""
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), **settings}
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, env=env)
        try:
            end = time.monotonic() + READY_S
            while time.monotonic() < end and process.poll() is None:
                try:
                    if httpx.get(url, timeout=2.0).status_code < 500:
                        break
                except httpx.HTTPError:
                    time.sleep(0.1)
            else:
                raise OSError(0, f"the server did not start: {log.read_text(errors='replace')[-500:]}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


Ask = Callable[[httpx.AsyncClient, int], Awaitable[float]]


def _get(path: str, *queries: dict[str, Any]) -> Ask:
    async def ask(client: httpx.AsyncClient, turn: int) -> float:
        begin = time.perf_counter()
        answer = await client.get(path, params=queries[turn % len(queries)] if queries else None)
        taken = time.perf_counter() - begin
        answer.raise_for_status()
        return taken

    return ask


async def _next(client: httpx.AsyncClient, turn: int) -> float:
    begin = time.perf_counter()
    answer = await client.post("/queue/next", json={"skip": []})
    taken = time.perf_counter() - begin
    answer.raise_for_status()
    frame = answer.json()["frame"]
    if frame is not None:
        (await client.delete(f"/frames/{frame['id']}/lease")).raise_for_status()
    return taken


def routes(frames: int) -> dict[str, Ask]:
    """Return what is asked, by name."""
    since = (START + timedelta(seconds=30 * frames // 2)).isoformat()
    searches = [
        {"camera": f"camera-{n:02d}", "label": label, "min_score": 0.5, "since": since, "limit": 24}
        for n, label in enumerate(LABELS * 4)
    ]
    searches += [{"state": "labelled", "present": "rain", "limit": 24}, {"label": "bus", "kind": "label", "limit": 24}]
    alike = [{"like": _frame_id(n * 97 % frames), "limit": 24} for n in range(200)]
    return {
        "queue": _get("/queue", {"limit": 20}),
        "next": _next,
        "search": _get("/search", *searches),
        "facets": _get("/search/facets"),
        "similar": _get("/search", *alike),
    }


async def _load(url: str, token: str, ask: Ask, users: int, seconds: float) -> list[float]:
    """Return how long every answer took, seconds."""
    taken: list[float] = []

    async def one(place: int) -> None:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            turn = place * 7
            await ask(client, turn)  # opens the connection, and fills what is kept
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                taken.append(await ask(client, turn := turn + 1))

    await asyncio.gather(*(one(place) for place in range(users)))
    return taken


async def measure(api: str, plain: str, token: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    headers = {"Authorization": f"Bearer {token}"}
    begin = time.perf_counter()
    httpx.get(f"{api}/search", params={"limit": 1}, headers=headers, timeout=120).raise_for_status()
    ready = time.perf_counter() - begin
    asked = routes(given.frames)
    taken: dict[str, list[float]] = {name: [] for name in (*asked, "bare")}
    for turn in range(given.rounds):
        for name, ask in asked.items():
            taken[name] += await _load(api, token, ask, given.users, given.seconds)
        taken["bare"] += await _load(plain, token, _get("/bare"), given.users, given.seconds / 2)
        say(f"round {turn + 1} of {given.rounds}")
    p50 = {name: 1000 * statistics.median(times) for name, times in taken.items()}
    p95 = {name: 1000 * float(np.quantile(times, 0.95)) for name, times in taken.items()}
    return {
        "ratio": round(p50["queue"] / p50["bare"], 2),
        "p95_ms": {name: round(value, 1) for name, value in p95.items()},
        "p50_ms": {name: round(value, 1) for name, value in p50.items()},
        "answers": {name: len(times) for name, times in taken.items()},
        "search_ready_s": round(ready, 2),
        "frames": given.frames,
        "boxes": given.frames * given.boxes,
        "users": given.users,
    }


async def _prepare(path: Path) -> None:
    made = database.connect(database.sqlite_url(path))
    await migrate(made.engine)
    await made.close()


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    token = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="wayside-") as scratch:
        data, port, bare_port = Path(scratch), _free_port(), _free_port()
        asyncio.run(_prepare(data / "central.db"))
        begin = time.perf_counter()
        fill(data / "central.db", given.frames, given.boxes, token)
        say(f"{given.frames} frames and {given.frames * given.boxes} boxes in {time.perf_counter() - begin:.0f} s")
        serve = [sys.executable, "-m", "central.cli", "serve", "--data", scratch, "--port", str(port)]
        serve += ["--broker-port", str(_free_port())]
        beside = [sys.executable, "-m", "uvicorn", "benchmarks.workbench:bare", "--port", str(bare_port)]
        beside += ["--log-level", "critical", "--no-access-log"]
        api, plain = f"http://127.0.0.1:{port}/api/v1", f"http://127.0.0.1:{bare_port}"
        with started(serve, f"{api}/health", data / "serve.log"), started(beside, f"{plain}/bare", data / "bare.log"):
            return asyncio.run(measure(api, plain, token, given))


def arguments() -> argparse.ArgumentParser:
    """Return the parser."""
    made = parser("How long people wait for the centre.", images=False)
    made.add_argument("--frames", type=int, default=100_000)
    made.add_argument("--boxes", type=int, default=10, help="on each frame")
    made.add_argument("--seconds", type=float, default=8.0, help="for each route and round")
    made.add_argument("--users", type=int, default=2, help="who ask at the same time")
    made.add_argument("--rounds", type=int, default=3)
    return made


if __name__ == "__main__":
    main(run, arguments())
