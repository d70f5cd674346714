"""A store with frames in it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from central.store import blobs as blob_store
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import Annotation, Frame, Node

AddFrame = Callable[..., Coroutine[Any, Any, str]]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """Blobs in memory."""
    return blob_store.connect("memory:", tmp_path)


@pytest.fixture
def jpeg() -> bytes:
    """A grey image of 64 x 48 pixels."""
    return cv2.imencode(".jpg", np.full((48, 64, 3), 127, np.uint8))[1].tobytes()


@pytest.fixture
def add_frame(db: Database, blobs: Blobs, jpeg: bytes) -> AddFrame:
    """A function that stores frame `number` with proposals (label, score) and returns its id."""

    async def add(number: int, *proposals: tuple[str, float], value: float = 0.5, **columns: Any) -> str:
        frame = f"{number:08x}-0000-7000-8000-000000000000"
        async with db.write() as session:
            if await session.get(Node, "n1") is None:
                session.add(Node(name="n1"))
                await session.flush()
            session.add(
                Frame(
                    id=frame,
                    node="n1",
                    camera="c1",
                    boot="b1",
                    sequence=number,
                    captured_at=datetime.now(UTC),
                    width=64,
                    height=48,
                    size_bytes=len(jpeg),
                    sha256=f"{number:064x}",
                    blob=f"frames/{frame}.jpg",
                    value=value,
                    **columns,
                )
            )
            await session.flush()
            for label, score in proposals:
                session.add(Annotation(frame=frame, x1=1, y1=2, x2=30, y2=40, label=label, source="node", score=score))
        await blobs.put([(f"frames/{frame}.jpg", jpeg)])
        return frame

    return add
