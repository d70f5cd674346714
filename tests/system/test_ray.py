"""Jobs on a real Ray cluster of two nodes: the same functions, followed, cancelled, found again, and a node killed.

A trigger of the database counts how often each frame is given its proposals: that is the oracle of "exactly once".
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest

from central.jobs import Ticket, backlog, training
from central.jobs.backlog import work_off
from central.jobs.queue import JobQueue
from central.jobs.scoring import Sight
from central.store import blobs as blob_store
from central.store import database as databases
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import Frame, Job, Node
from edge.runtime import packs
from protocols.pack import Pack
from tests.central.jobs.test_backlog import Forgetful, ident, twice
from tests.servers.ray import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
FRAMES: Final = 640
COUNT: Final = "central.jobs.probe:count"
WAIT_S: Final = 240.0
SECRET: Final = "a-place-that-nobody-may-read"
"""In the URL of the database, which is written nowhere."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one core each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'wayside[ray]'", exc_type=ImportError)
    with Cluster(2) as made:
        yield made


@pytest.fixture(scope="module")
def base() -> Pack:
    """The pack that ships."""
    return packs.find("base", packs.cache())


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose name is the secret."""
    folder = Path(tempfile.mkdtemp(prefix=SECRET))
    yield folder
    shutil.rmtree(folder)


async def filled(place: Path) -> Database:
    """A database with FRAMES frames that wait, their image, and the trigger."""
    db = databases.connect(f"sqlite:///{place}/central.db")
    await migrate(db.engine)
    image = np.random.default_rng(0).integers(0, 255, (96, 160, 3)).astype(np.uint8)
    await blob_store.connect(None, place / "blobs").put([("b.jpg", cv2.imencode(".jpg", image)[1].tobytes())])
    values = {
        "node": "n1", "camera": "c1", "boot": "b1", "captured_at": datetime(2026, 1, 1, tzinfo=UTC), "width": 160,
        "height": 96, "size_bytes": 9, "sha256": "0" * 64, "blob": "b.jpg",
    }  # fmt: skip
    async with db.write() as session:
        session.add(Node(name="n1", site="north", state="online"))
        await session.flush()
        session.add_all(Frame(id=ident(n), sequence=n, value=n / FRAMES, **values) for n in range(FRAMES))
    with sqlite3.connect(place / "central.db") as plain:
        plain.executescript("""
            CREATE TABLE given (frame TEXT);
            CREATE TRIGGER note AFTER UPDATE OF proposed_by ON frame BEGIN INSERT INTO given VALUES (new.id); END;
        """)
    plain.close()
    return db


def given(place: Path) -> dict[int, int]:
    """Return how many frames were given proposals so many times."""
    plain = sqlite3.connect(place / "central.db")
    counts = [row[0] for row in plain.execute("SELECT count(*) FROM given GROUP BY frame")]
    plain.close()
    return {times: counts.count(times) for times in set(counts)}


async def until(db: Database, job: str, is_so: Callable[[Job], bool], queue: JobQueue) -> Job:
    """Wait until `is_so` of a job, with `queue` at work, and return its row."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        await queue.tick()
        async with db.read() as session:
            row = await session.get_one(Job, job)
        if is_so(row):
            return row
        await asyncio.sleep(0.1)
    raise AssertionError(f"job is {row.state}: {row.detail}\n{await queue.log(job)}")


def over(row: Job) -> bool:
    return row.state in ("done", "failed", "cancelled")


async def test_job__goes_on_while_the_centre_is_away(cluster: Cluster, place: Path) -> None:
    db = await filled(place)
    first = JobQueue(db, place / "jobs", cluster.address)
    job = await first.submit(COUNT, {"steps": 30, "seconds": 0.3}, ticket=Ticket("other"))
    await until(db, job, lambda row: row.progress > 0, first)
    await first.close()
    second = JobQueue(db, place / "jobs", cluster.address)
    await second.recover()
    row = await until(db, job, over, second)
    text = await second.log(job)
    await second.close()
    await db.close()
    assert (row.state, row.result, row.attempts, row.place) == ("done", {"counted": 30}, 1, cluster.address)
    assert "counted 30" in text


async def test_cancel__ends_it_on_the_cluster(cluster: Cluster, place: Path) -> None:
    db = await filled(place)
    queue = JobQueue(db, place / "jobs", cluster.address)
    heard: list[Mapping[str, Any]] = []

    async def listen(kind: str, step: Mapping[str, Any]) -> None:
        heard.extend([step] * (kind == "end"))

    job = await queue.submit(COUNT, {"steps": 9999, "seconds": 0.2}, listen, ticket=Ticket("other"))
    await until(db, job, lambda row: row.progress > 0, queue)
    assert await queue.cancel(job)
    row = await until(db, job, over, queue)
    await queue.close()
    await db.close()
    for _ in range(100):
        if not cluster.actors():
            break
        await asyncio.sleep(0.1)  # that of a job before lingers for some seconds
    assert not cluster.actors(), "it works on, and keeps a core"
    assert row.state == "cancelled" and heard == [{"state": "cancelled", "detail": "cancelled"}]


async def test_training__two_workers_train_one_run(cluster: Cluster, place: Path) -> None:
    db = await filled(place)
    queue = JobQueue(db, place / "jobs", cluster.address)
    images, truth = place / "images", place / "truth.json"
    images.mkdir()
    for number in range(6):
        cv2.imwrite(str(images / f"{number}.png"), np.full((64, 64, 3), 20 * number, np.uint8))
    annotations = [{"id": n, "image_id": n, "category_id": 0, "bbox": [8.0, 8.0, 30.0, 30.0]} for n in range(6)]
    truth.write_text(json.dumps({
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(6)], "categories": [{"id": 0, "name": "car"}],
        "annotations": annotations,
    }))  # fmt: skip
    words = [
        "--train", f"{truth}:{images}", "--labels", "car", "--size", "tiny", "--input", "64x64", "--steps", "6",
        "--batch", "4", "--workers", "0", "--evaluate-every", "0", "--out", str(place / "run"),
    ]  # fmt: skip
    args = {"name": "detect", "words": words, "workers": 2}
    job = await queue.submit(training.FUNCTION, args, ticket=Ticket("training"))
    row = await until(db, job, over, queue)
    text = await queue.log(job)
    await queue.close()
    await db.close()
    assert row.state == "done", f"{row.detail}\n{text}"
    assert json.loads((place / "run" / "result.json").read_text())["steps"] == 6


async def test_backlog__every_frame_once_though_a_node_is_killed(cluster: Cluster, place: Path, base: Pack) -> None:
    db = await filled(place)
    queue = JobQueue(db, place / "jobs", cluster.address)
    args = {"labels": list(base.manifest.labels), "pack": str(base.folder), "closely": False, "workers": 2}
    secrets = {"database_url": f"sqlite:///{place}/central.db", "blob_url": None, "blob_folder": str(place / "blobs")}
    job = await queue.submit(backlog.FUNCTION, args, None, secrets, Ticket("scoring", attempts=3))
    await until(db, job, lambda row: row.progress >= 0.2, queue)
    cluster.kill(1)
    row = await until(db, job, over, queue)
    text = await queue.log(job)
    await queue.close()
    await db.close()
    assert row.state == "done", f"{row.detail}\n{text}"
    assert row.result is not None and row.result["changed"] == FRAMES
    assert given(place) == {1: FRAMES}
    written = [p for p in cluster.folder.rglob("*") if p.is_file() and place.name.encode() in p.read_bytes()]
    assert written == [], "what is secret is in a file of Ray"


async def test_backlog__a_writer_that_forgets_is_found(place: Path, base: Pack) -> None:
    db = await filled(place)
    await work_off(db, base, base.manifest.labels, Sight(b"", None, ""), twice, lambda _step: None, make=Forgetful)
    await db.close()
    assert given(place) != {1: FRAMES}
