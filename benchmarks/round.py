"""How long a round takes, stage by stage, and how much of it is training: 100 new frames, the pack that ships.

    python -m benchmarks.round --json [--frames 100] [--epochs 4] [--images DIR --coco FILE]

A centre is filled with labelled frames, those of ``--coco`` to learn from and those of ``--test-coco`` held back, and a
round is run on it in this process, as its job would. The answer is ``overhead``: the share of the round that is not
training; ``stages`` in seconds. With ``--keep DIR`` the centre stays, with the report of its round.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2

from benchmarks.common import DATA, main, parser, say
from central import settings
from central.annotate.datasets import BLOCK, held_back
from central.learn.detect import coco as truths
from central.learn.detect.coco import Coco, CocoImage
from central.learn.round import run
from central.store import blobs as blob_store
from central.store import database as databases
from central.store.database import Database
from central.store.migrations import migrate
from central.store.models import Annotation, Frame, LabelRevision, Node, Round
from protocols.messages import utc_now

ROUND = "r0001"
SECONDS = 12.0
"""That a person is said to have taken for each frame."""


def _places(camera: str, held: bool) -> list[int]:
    """Return places of frames of `camera`, block by block, in blocks that are held back or not."""
    blocks = [b for b in range(400) if held_back(camera, b * BLOCK) is held]
    return [b * BLOCK + i for b in blocks for i in range(BLOCK)]


async def fill(data: Path, truth: Coco, images: Path, held: bool, limit: int | None, node: str) -> int:
    """Store up to `limit` labelled frames of `truth`, all of them held back or none; return how many."""
    settled = settings.load(data=data)
    database, blobs = databases.connect(settled.database), blob_store.connect(None, data / "blobs")
    await migrate(database.engine)
    names, boxes = {c.id: c.name for c in truth.categories}, truth.by_image()
    counting = [i for i in truth.images if i.labelled]
    step = max(1, len(counting) // limit) if limit else 1
    chosen = counting[::step][:limit]
    async with database.write() as session:
        if await session.get(Node, node) is None:
            session.add(Node(name=node))
    taken: dict[str, int] = {}
    for number, image in enumerate(chosen):
        camera = image.place or "camera"
        place = taken[camera] = taken.get(camera, -1) + 1
        row = _frame(node, camera, _places(camera, held)[place], number, image, held)
        path = images / image.file_name
        await blobs.put([(row.blob, path.read_bytes())])
        row.complete_for = list(names.values())
        own = [((b.bbox[0], b.bbox[1], b.bbox[0] + b.bbox[2], b.bbox[1] + b.bbox[3]), names[b.category_id])
               for b in boxes[image.id]]  # fmt: skip
        await _store(database, row, own)
    await database.close()
    return len(chosen)


def _frame(node: str, camera: str, index: int, number: int, image: CocoImage, held: bool) -> Frame:
    kind = "b" if held else "a"
    name = f"{kind}{number:07x}-0000-7000-8000-{sum(map(ord, node)):012x}"
    return Frame(
        id=name, node=node, camera=camera.replace("/", "-")[:60], boot=kind, sequence=number, index=index,
        captured_at=datetime.now(UTC), width=image.width, height=image.height, size_bytes=1,
        sha256=f"{kind}{number:063x}", blob=f"frames/{name}.jpg", state="labelled", revision=1,
    )  # fmt: skip


async def _store(database: Database, row: Frame, boxes: list[tuple[tuple[float, float, float, float], str]]) -> None:
    async with database.write() as session:
        session.add(row)
        await session.flush()
        for (x1, y1, x2, y2), label in boxes:
            session.add(
                Annotation(frame=row.id, x1=x1, y1=y1, x2=x2, y2=y2, label=label, source="person", confirmed=True)
            )
        session.add(
            LabelRevision(frame=row.id, revision=1, author="bench", seconds=SECONDS, complete_for=row.complete_for)
        )


async def _row(data: Path) -> None:
    database = databases.connect(settings.load(data=data).database)
    async with database.write() as session:
        session.add(Round(id=ROUND, state="training", by="bench", started=utc_now()))
    await database.close()


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Fill a centre, run a round, and return its times."""
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        data = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        new = asyncio.run(fill(data, truths.read(given.coco), given.images, False, given.frames, "n1"))
        held = asyncio.run(fill(data, truths.read(given.test_coco), given.test_images, True, given.held, "n1"))
        asyncio.run(_row(data))
        say(f"{new} new frames, {held} held back")
        options = {"epochs": given.epochs, "pack": given.pack}
        done = run.run_round(data, ROUND, options, lambda s: say(f"{s.get('stage', '')} {s.get('detail', '')}"))
        folder = data / "rounds" / ROUND
        report = run.read_report(folder)
        say(f"{done['verdict']}; report {folder / run.PAGE}")
    return {
        "frames": new, "held_back": held, "epochs": given.epochs, "steps": report["steps"],
        "stages": {k: round(v, 2) for k, v in report["stages"].items()},
        "training_share": round(1 - report["overhead"], 3), "overhead": round(report["overhead"], 3),
        "delta_bytes": report["delta_bytes"], "pack_bytes": report["pack_bytes"],
        "ap50_before": done["ap50_before"], "ap50_after": done["ap50_after"], "offered": done["offered"],
    }  # fmt: skip


if __name__ == "__main__":
    made = parser(__doc__ or "", images=False)
    made.add_argument("--images", type=Path, default=DATA / "street" / "images", help="folder of what is learned from")
    made.add_argument("--coco", type=Path, default=DATA / "street" / "train.json", help="its truth")
    made.add_argument("--test-images", type=Path, default=DATA / "street" / "images", help="folder of held-back images")
    made.add_argument("--test-coco", type=Path, default=DATA / "street" / "val.json", help="their truth")
    made.add_argument("--frames", type=int, default=100, help="new frames")
    made.add_argument("--held", type=int, default=None, help="held-back frames; all of them where not given")
    made.add_argument("--epochs", type=int, default=4, help="passes over the new frames")
    made.add_argument("--pack", default="base", help="pack that the round starts from")
    made.add_argument("--keep", type=Path, default=None, help="folder in which the centre stays")
    main(measure, made)
