"""A database as a city has it after half a year, put together quickly: frames by the thousand, boxes inside of it.

    frames (COPY, or executemany without syncs) -> boxes, answers, verdicts (INSERT ... SELECT) -> indices -> ANALYZE

Everything is drawn from the frames' numbers and a fixed seed, so that two databases of one size hold the same. Sizes of
cameras are log-normal (a tenth of them has a third of the frames), times follow the day, embeddings lie in clusters,
the boxes of a frame follow a city's shares of classes, and three frames in ten were answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Table, make_url, text

from benchmarks.common import say
from central.store import database
from central.store.migrations import migrate
from central.store.models import Base

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 180
LABELS: Final = ("person", "two_wheeler", "car", "bus", "truck")
SHARES: Final = (0.2, 0.08, 0.55, 0.05, 0.12)
DIMENSIONS: Final = 64
"""Of an embedding, as the base pack gives it."""
CLUSTERS: Final = 200
LABELLED, SKIPPED, DOUBLED = 0.3, 0.01, 0.01
"""Shares of the frames: answered, put aside, answered by two people."""
CAMERAS_PER_NODE: Final = 4
BATCH: Final = 20_000
NOW: Final = "2026-07-01 00:00:00"
LATER: Final = "2099-01-01 00:00:00"
PEOPLE: Final = ("maria", "jonas", "aylin", "tom")


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    frames: int
    boxes: int = 10
    """On each frame."""
    cameras: int = 1000

    @property
    def nodes(self) -> int:
        """Edge computers, with four cameras each."""
        return -(-self.cameras // CAMERAS_PER_NODE)


def frame_id(at: float, number: int) -> str:
    """Return the id of frame `number`, captured at `at` seconds since 1970."""
    ms, rest = int(at * 1000), hashlib.sha256(str(number).encode()).hexdigest()
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def times(count: int, draws: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return `count` capture times, rising, seconds since 1970: four in five by day."""
    days = draws.integers(0, DAYS, count) * 86_400.0
    hours = np.where(draws.random(count) < 0.8, draws.uniform(6, 20, count), draws.uniform(20, 30, count) % 24)
    return np.sort(START.timestamp() + days + hours * 3600.0)


def _detections(boxes: int, draws: np.random.Generator) -> list[str]:
    """Return some lists of detections as nodes send them."""
    made = []
    for _ in range(200):
        kinds = draws.choice(len(LABELS), boxes, p=SHARES)
        rows = [
            {"box": [round(v, 1) for v in draws.uniform(0, 600, 4).tolist()], "label": LABELS[kind],
             "score": round(float(draws.uniform(0.1, 1)), 3), "spread": [1.5, 1.5, 2.0, 2.0], "blur": 0.4}
            for kind in kinds
        ]  # fmt: skip
        made.append(json.dumps(rows, separators=(",", ":")))
    return made


def frames(size: Size, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Make the rows of all frames, oldest first."""
    draws = np.random.default_rng(seed)
    weights = draws.lognormal(0.0, 1.0, size.cameras)
    camera = draws.choice(size.cameras, size.frames, p=weights / weights.sum())
    at, values, kind = times(size.frames, draws), draws.beta(1.2, 3.0, size.frames), draws.random(size.frames)
    centres, detections = draws.normal(0, 1, (CLUSTERS, DIMENSIONS)), _detections(size.boxes, draws)
    pairs = draws.random((200, 2)).round(2).tolist()
    assessment = [f'{{"uncertainty":{doubt},"novelty":{new},"blur":0.4}}' for doubt, new in pairs]
    for begin in range(0, size.frames, BATCH):
        count = min(BATCH, size.frames - begin)
        vectors = centres[draws.integers(0, CLUSTERS, count)] + draws.normal(0, 0.5, (count, DIMENSIONS))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")
        for n in range(begin, begin + count):
            moment = str(datetime.fromtimestamp(at[n], UTC).replace(tzinfo=None))
            state = "labelled" if kind[n] < LABELLED else "skipped" if kind[n] < LABELLED + SKIPPED else "pending"
            node, answered = camera[n] // CAMERAS_PER_NODE, state == "labelled"
            rain = '{"rain":"present"}' if n % 10 == 0 else '{"rain":"absent"}'
            yield {
                "id": frame_id(at[n], n), "node": f"node-{node:05d}", "site": f"site-{node % 20:02d}",
                "camera": f"camera-{camera[n]:05d}", "name": "", "index": n, "boot": "b", "sequence": n,
                "captured_at": moment, "received_at": moment, "width": 1280, "height": 720,
                "size_bytes": 60_000 + n * 7919 % 60_000, "sha256": f"{n:064x}",
                "blob": f"seg/{n // 500:08d}#{n % 500}",
                "pack": "a" * 64, "value": float(values[n]), "state": state, "revision": int(answered),
                "assessment": assessment[n % 200], "detections": detections[n % 200], "redactions": "[]",
                "selection": '{"keep":true,"probability":0.2,"reason":"uncertain","policy":"budget"}',
                "complete_for": json.dumps(LABELS) if answered else "[]", "tags": rain if answered else "{}",
                "tag_proposals": "{}", "embedding": vectors[n - begin].tobytes(), "proposed_by": None,
                "opinion": "agreed" if kind[n] < DOUBLED else None,
                "labelled_at": moment if answered else None, "labelled_by": PEOPLE[n % 4] if answered else None,
            }  # fmt: skip


def _drawn(step: int, parts: int) -> str:
    """Return SQL for a whole number below `parts`, from the numbers of frame `f` and box `n`."""
    return f'(f."index" * {step} + n.n * 104729 + f."index" / 7) % {parts}'


def _series(count: int) -> str:
    return " UNION ALL ".join(f"SELECT {i} AS n" for i in range(count))


def _class() -> str:
    edges = np.cumsum(np.round(np.array(SHARES) * 100)).astype(int)
    whens = " ".join(f"WHEN {_drawn(7919, 100)} < {e} THEN '{name}'" for e, name in zip(edges, LABELS, strict=True))
    return f"CASE {whens} ELSE 'car' END"


def statements(size: Size) -> dict[str, str]:
    """Return what is made inside the database, by what it makes."""
    x, y = _drawn(1291, 1200), _drawn(2593, 660)
    labelled = "f.state = 'labelled'"
    answer = """'[{"box":[' || (f."index" % 900) || ',100,' || (f."index" % 900 + 60) || ',180],"label":"car"}]'"""
    return {
        "boxes": f"""
            INSERT INTO annotation (frame, x1, y1, x2, y2, label, source, score, confirmed, revision, author, created)
            SELECT f.id, {x}, {y}, {x} + 60, {y} + 40, {_class()},
                CASE WHEN {labelled} THEN 'person' ELSE 'node' END,
                CASE WHEN {labelled} THEN NULL ELSE 0.1 + ({_drawn(31, 900)}) / 1000.0 END,
                {labelled}, f.revision, f.labelled_by, f.received_at
            FROM frame f CROSS JOIN ({_series(size.boxes)}) n ORDER BY f."index", n.n""",
        "answers": f"""
            INSERT INTO label_revision (frame, revision, author, at, state, boxes, complete_for, tags, seconds)
            SELECT f.id, 1, f.labelled_by, f.labelled_at, 'labelled', {answer}, f.complete_for, f.tags, 20
            FROM frame f WHERE {labelled}""",
        "second opinions": f"""
            INSERT INTO opinion (frame, author, revision, first, boxes, complete_for, tags, seconds, at)
            SELECT f.id, CASE WHEN f.labelled_by = 'tom' THEN 'maria' ELSE 'tom' END, 1, f.labelled_by, {answer},
                f.complete_for, f.tags, 20, f.labelled_at
            FROM frame f WHERE f.opinion IS NOT NULL AND {labelled}""",
        "verdicts": f"""
            INSERT INTO verdict (frame, revision, source, label, score, outcome)
            SELECT f.id, 1, 'pack', 'car', (f."index" % 100) / 100.0,
                CASE f."index" % 4 WHEN 0 THEN 'deleted' WHEN 1 THEN 'moved' ELSE 'kept' END
            FROM frame f WHERE {labelled}""",
        "cameras' last frames": """
            UPDATE camera SET last_frame_id = (SELECT max(f.id) FROM frame f
                WHERE f.node = camera.node AND f.camera = camera.name), last_frame_at = '2026-06-29 00:00:00'""",
    }  # fmt: skip


def _json_cast(sql: str, dialect: str) -> str:
    """Return `sql` for `dialect`: PostgreSQL takes no text for JSON, and no text for a time without being told."""
    if dialect == "sqlite":
        return sql
    for answer in ("""],"label":"car"}]'""",):
        sql = sql.replace("""'[{"box":['""", """('[{"box":['""").replace(answer, f"{answer})::json")
    return sql


def _fixed(size: Size, token: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Make what frames hang on, and somebody who is logged in."""
    name = "node-{:05d}".format
    yield "node", [
        {"name": name(i), "site": f"site-{i % 20:02d}", "state": "online" if i % 50 else "offline", "since": NOW,
         "first_seen": NOW, "last_seen": NOW, "boot": "b", "version": "1", "backend": "cpu", "pack": "a" * 64,
         "health_at": NOW}
        for i in range(size.nodes)
    ]  # fmt: skip
    health = '{"state":"watching","fps":10.0,"frames":1000,"selected":20,"latency_p95_ms":40.0,"alerts":[]}'
    yield "camera", [
        {"node": name(i // CAMERAS_PER_NODE), "name": f"camera-{i:05d}", "source": "rtsp://camera", "width": 1280,
         "height": 720, "health": health, "health_at": NOW}
        for i in range(size.cameras)
    ]  # fmt: skip
    yield "user", [{"name": "bench", "password": "-", "role": "admin", "disabled": False, "created": NOW}]
    digest = hashlib.sha256(token.encode()).hexdigest()
    yield "session", [{"token_sha256": digest, "user": "bench", "created": NOW, "expires": LATER, "last_seen": NOW}]


def _columns(table: Table, row: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """Return the names to insert, and the values of those that must have one and are not in `row`."""
    missing, values = [], []
    for column in table.columns:
        if column.nullable or column.name in row or column.server_default is not None or column.autoincrement is True:
            continue
        kind = column.type.python_type
        missing.append(column.name)
        values.append({dict: "{}", list: "[]", bool: False, int: 0, float: 0.0}.get(kind, ""))
    return [*row, *missing], values


def _insert(connection: Connection, name: str, rows: Sequence[dict[str, Any]]) -> None:
    table = Base.metadata.tables[name]
    names, rest = _columns(table, rows[0])
    listed = ", ".join(f'"{each}"' for each in names)
    many = ((*row.values(), *rest) for row in rows)
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        raw.executemany(f'INSERT INTO "{name}" ({listed}) VALUES ({", ".join("?" * len(names))})', many)
        return
    with raw.cursor() as cursor, cursor.copy(f'COPY "{name}" ({listed}) FROM STDIN') as copy:
        for row in many:
            copy.write_row(row)


def _insert_all(connection: Connection, rows: Iterator[dict[str, Any]]) -> None:
    for batch in _batches(rows):
        _insert(connection, "frame", batch)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    held: list[dict[str, Any]] = []
    for row in rows:
        held.append(row)
        if len(held) == BATCH:
            yield held
            held = []
    if held:
        yield held


def _indices(connection: Connection) -> list[str]:
    """Drop the indices of the large tables and return what makes them again."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN {}"
    else:
        query = """SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename IN {}
            AND indexname NOT IN (SELECT conname FROM pg_constraint)"""
    held = connection.execute(text(query.format("('frame', 'annotation', 'verdict')"))).all()
    for name, _ in held:
        connection.execute(text(f'DROP INDEX "{name}"'))
    return [str(sql) for _, sql in held]


def fill(url: str, size: Size, token: str, tell: Callable[[str], None] = say) -> dict[str, float]:
    """Make the tables of the empty database at `url` and fill them; return the seconds that each part took."""
    taken: dict[str, float] = {}

    async def prepare() -> database.Database:
        made = database.connect(url)
        await migrate(made.engine)
        return made

    def timed(what: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        found = work()
        taken[what] = round(time.perf_counter() - begin, 1)
        tell(f"{make_url(url).drivername}: {what} in {taken[what]} s")
        return found

    made = asyncio.run(prepare())
    sqlite = made.engine.dialect.name == "sqlite"
    with made._threads.connect() as connection:
        if sqlite:
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA synchronous=OFF")
            raw.execute("PRAGMA foreign_keys=OFF")
        else:
            connection.execute(text("SET session_replication_role = replica"))  # no look at keys that are right
        indices = _indices(connection)
        for table, rows in _fixed(size, token):
            _insert(connection, table, rows)
        timed("frames", lambda: _insert_all(connection, frames(size)))
        again = [sql for sql in indices if "ix_frame_camera" in sql]
        for sql in again:
            connection.execute(text(sql))
        for what, sql in statements(size).items():
            timed(what, partial(connection.execute, text(_json_cast(sql, made.engine.dialect.name))))
        timed("indices", lambda: [connection.execute(text(sql)) for sql in indices if sql not in again])
        connection.commit()
        timed("statistics", lambda: connection.execute(text("ANALYZE")))
        connection.commit()
    asyncio.run(made.close())
    return taken
