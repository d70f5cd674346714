"""How many frames of a backlog are looked at per second: by a plain loop, and by the job engine on one and two workers.

    python -m benchmarks.jobs [--frames 20000] [--images DIR] [--closely] [--only loop,1,2] --json

loop      read, decode, look, write, in one process and one thread, a batch of 64 after the other
1, 2      the same frames as a job on a Ray cluster of two nodes with one core each, on this machine: queued in the
          database, followed, read from the blob store by the workers, written by one writer

Each has a database of its own with `--frames` frames. They show the images of `--images` again and again: what is
measured does not depend on what is seen. `ratio` is one worker over the loop, `scaling` two workers over one. Seconds
are those of the whole job, start of the workers included; `where` says what one frame costs a worker and the writer.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from benchmarks import common
from benchmarks.common import say
from central.jobs import Ticket, backlog, scoring
from central.jobs.queue import JobQueue
from central.jobs.scoring import Item, Scorer, Sight
from central.store import blobs as blob_store
from central.store import database as databases
from central.store.migrations import migrate
from central.store.models import Frame, Job, Node
from edge.runtime import packs
from protocols.pack import Pack, archive
from tests.servers.ray import Cluster

IMAGES: Final = 300
"""Different images; the file cache holds them all."""
SAMPLE: Final = 128
"""Frames by which a worker's cost is told apart."""
ROWS: Final = 5000
"""Frames stored by one transaction."""


def ident(number: int) -> str:
    """Return the id of frame `number`."""
    return f"{number:08x}-0000-7000-8000-000000000000"


async def prepare(folder: Path, images: Sequence[Path], frames: int) -> None:
    """Make the blob store and a database with `frames` frames that wait."""
    store = blob_store.connect(None, folder / "blobs")
    sizes = []
    for number, path in enumerate(images):
        data = path.read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise OSError(f"{path}: not an image")
        sizes.append((picture.shape[1], picture.shape[0], len(data)))
        await store.put([(f"frames/{number}.jpg", data)])
    db = databases.connect(f"sqlite:///{folder}/central.db")
    await migrate(db.engine)
    async with db.write() as session:
        session.add(Node(name="n1", site="north", state="online"))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for start in range(0, frames, ROWS):
        async with db.write() as session:
            for n in range(start, min(frames, start + ROWS)):
                width, height, size = sizes[n % len(sizes)]
                session.add(
                    Frame(
                        id=ident(n), sequence=n, value=n / frames, node="n1", camera="c1", boot="b1", captured_at=at,
                        width=width, height=height, size_bytes=size, sha256="0" * 64,
                        blob=f"frames/{n % len(sizes)}.jpg",
                    )
                )  # fmt: skip
    await db.close()


async def loop(folder: Path, pack: Pack, closely: bool) -> dict[str, Any]:
    """Work off the backlog in this process."""
    db = databases.connect(f"sqlite:///{folder}/central.db")
    sight = Sight(archive(pack), None, str(folder / "blobs"), closely)
    tally = await backlog.work_off(db, pack, pack.manifest.labels, sight, scoring.here, lambda _step: None)
    await db.close()
    return tally.result()


async def job(folder: Path, pack: Pack, closely: bool, cluster: Cluster, workers: int) -> dict[str, Any]:
    """Work it off by a job on `workers` workers of `cluster`. Raises OSError where it fails."""
    db = databases.connect(f"sqlite:///{folder}/central.db")
    queue = JobQueue(db, folder / "jobs", cluster.address)
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def listen(kind: str, step: Any) -> None:
        if kind == "end":
            ended.set_result(step)

    began = time.monotonic()
    args = {"labels": list(pack.manifest.labels), "pack": str(pack.folder), "closely": closely, "workers": workers}
    secrets = {"database_url": f"sqlite:///{folder}/central.db", "blob_url": None, "blob_folder": str(folder / "blobs")}
    made = await queue.submit(backlog.FUNCTION, args, listen, secrets, Ticket("scoring"))
    end = await ended
    seconds = time.monotonic() - began
    log = await queue.log(made)
    async with db.read() as session:
        row = await session.get_one(Job, made)
    await queue.close()
    await db.close()
    if row.state != "done" or not row.result:
        raise OSError(f"the job {end['state']}: {end.get('detail')}\n{log[-2000:]}")
    return {**row.result, "queued_and_done_s": round(seconds, 2)}


def where(folder: Path, pack: Pack, closely: bool, frames: int) -> dict[str, float]:
    """Return what one frame costs a worker, milliseconds."""
    scorer = Scorer(Sight(archive(pack), None, str(folder / "blobs"), closely))
    items = [Item(ident(n), f"frames/{n % IMAGES}.jpg") for n in range(min(SAMPLE, frames))]
    items = [item for item in items if (folder / "blobs" / item.blob).is_file()]
    data = scorer._read(items)
    scorer.look(items[:8])
    mark = time.perf_counter()
    data = scorer._read(items)
    read = time.perf_counter() - mark
    decoded = []
    for one in data:
        mark = time.perf_counter()
        cv2.imdecode(np.frombuffer(one if isinstance(one, bytes) else b"", np.uint8), cv2.IMREAD_COLOR)
        decoded.append(time.perf_counter() - mark)
    mark = time.perf_counter()
    scorer.look(items)
    whole = (time.perf_counter() - mark) / len(items)
    scorer.close()
    parts = {"read_ms": read / len(items), "decode_ms": statistics.mean(decoded)}
    parts["look_ms"] = whole - sum(parts.values())
    return {name: round(1000 * value, 3) for name, value in parts.items()}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure what was asked for."""
    images = sorted(p for p in arguments.images.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))[:IMAGES]
    if not images:
        raise OSError(f"{arguments.images}: no image there")
    pack = packs.find("base", packs.cache())
    found: dict[str, Any] = {
        "frames": arguments.frames,
        "images": len(images),
        "closely": arguments.closely,
        "rows": {},
    }
    with tempfile.TemporaryDirectory(prefix="wayside-jobs-") as name:
        folder = Path(name)
        asyncio.run(prepare(folder, images, arguments.frames))
        shutil.copy(folder / "central.db", folder / "fresh.db")
        found["where"] = where(folder, pack, arguments.closely, arguments.frames)
        wanted = arguments.only.split(",")
        if "loop" in wanted:
            found["rows"]["loop"] = _told("loop", asyncio.run(loop(folder, pack, arguments.closely)))
        counts = [int(word) for word in wanted if word.isdigit()]
        if counts:
            with Cluster(2) as cluster:
                for workers in counts:
                    for old in folder.glob("central.db*"):
                        old.unlink()
                    shutil.copy(folder / "fresh.db", folder / "central.db")
                    row = asyncio.run(job(folder, pack, arguments.closely, cluster, workers))
                    found["rows"][str(workers)] = _told(f"{workers} workers", row)
    rows = found["rows"]
    if "loop" in rows and "1" in rows:
        found["ratio"] = round(rows["1"]["per_s"] / rows["loop"]["per_s"], 3)
    if "1" in rows and "2" in rows:
        found["scaling"] = round(rows["2"]["per_s"] / rows["1"]["per_s"], 3)
    return found


def _told(name: str, row: dict[str, Any]) -> dict[str, Any]:
    written = f"{row['changed']} frames in {row['seconds']:.1f} s, {row['per_s']:.1f} per second"
    say(f"{name}: {written}; waited {row['waited_s']:.1f} s for what was seen, wrote {row['wrote_s']:.1f} s")
    return row


def main() -> None:
    """The command."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--frames", type=int, default=20_000, help="frames of the backlog")
    made.add_argument("--images", type=Path, default=common.DATA / "street" / "images", help="what they show")
    made.add_argument(
        "--closely", action="store_true", help="look twice, and at parts of large images, as proposals do"
    )
    made.add_argument("--only", default="loop,1,2", help="what is measured: loop, or a number of workers; with commas")
    made.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    common.main(run, made)


if __name__ == "__main__":
    main()
