"""A centre with frames of every state and age, for the tests of retention."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from central.ingest import frames
from central.ingest.frames import Checked, Stored
from central.store import blobs as stores
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Annotation, Frame, LabelRevision, RetentionRule
from central.store.retention import EVERY, Rule, record
from central.store.retention.run import Done, Runner
from protocols.messages import Assessment, FrameMessage, Selection

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIZE = 3000


def frame_id(number: int) -> str:
    return f"01a1fd90-ef51-7c70-995c-{number:012x}"


def image(number: int) -> bytes:
    return b"\xff\xd8\xff" + bytes([65 + number % 64]) * (SIZE - 5) + b"\xff\xd9"


def message(number: int, camera: str = "c1", site: str = "north") -> FrameMessage:
    data = image(number)
    return FrameMessage(
        id=frame_id(number), node=f"node-{site}", boot="b1", sequence=number, index=number, camera=camera, site=site,
        time=NOW, width=8, height=8, assessment=Assessment(), sha256=hashlib.sha256(data).hexdigest(), image=data,
        selection=Selection(keep=True, probability=0.5, reason="x", policy="budget"), embedding=(1.0, float(number)),
    )  # fmt: skip


@dataclass
class World:
    """A centre's store; `clock` is NOW."""

    db: Database
    blobs: Blobs
    data: Path

    async def add(self, *numbers: int, camera: str = "c1", site: str = "north") -> Stored:
        return await frames.store(self.db, self.blobs, Checked([message(n, camera, site) for n in numbers]))

    async def make(self, number: int, state: str, days: float, **more: Any) -> str:
        """Store frame `number`, `days` old since it was received, or answered where it was."""
        await self.add(number, **more)
        at = NOW - timedelta(days=days)
        values: dict[str, Any] = {"state": state, "received_at": at}
        if state != "pending":
            values |= {"received_at": at - timedelta(days=1), "labelled_at": at, "labelled_by": "ann", "revision": 1}
        async with self.db.write() as session:
            await session.execute(update(Frame).where(Frame.id == frame_id(number)).values(**values))
            if state == "labelled":
                box = Annotation(frame=frame_id(number), x1=1, y1=1, x2=4, y2=4, label="car", source="person",
                                 confirmed=True, revision=1, author="ann")  # fmt: skip
                session.add_all([box, LabelRevision(frame=frame_id(number), revision=1, author="ann", boxes=[])])
        return frame_id(number)

    async def rule(self, site: str = EVERY, **days: int) -> None:
        async with self.db.write() as session:
            await session.merge(RetentionRule(site=site, **days))

    async def run(self, clock: Callable[[], datetime] = lambda: NOW, settings: Rule | None = None) -> Done:
        return await Runner(self.db, self.blobs, self.data, settings or Rule(), clock, 0.0, 2).run()

    async def there(self) -> list[int]:
        async with self.db.read() as session:
            return sorted(int(i[-12:], 16) for i in await session.scalars(select(Frame.id)))

    async def log(self, name: str = "log.jsonl", since: int = 1) -> Path:
        path = self.data / name
        await self.db.run_read(lambda session: record.save(session, path, since))
        return path

    @property
    def key(self) -> str:
        return record.public(record.signer(self.data))


def open_world(db: Database, folder: Path) -> World:
    data = folder / "data"
    os.makedirs(data)  # noqa: PTH103
    return World(db, stores.connect(None, data / "blobs"), data)
