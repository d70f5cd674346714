"""The pictures of blur pairs: what is cut out, and all answers with their crops as a folder to learn from.

FOLDER/pairs.jsonl        {"left": NAME, "right": NAME, "answer": "left" | "right" | "cant_tell", "by", ...}
FOLDER/crops/NAME.png     pixels as they are in the frame: scaling would change the blur
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from central.annotate.propagate import read
from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import BlurPair, Frame, PairLabel
from protocols.files import write_atomic

MARGIN: Final = 0.1
"""Of the object's sides, shown around it."""
LIST: Final = "pairs.jsonl"
CROPS: Final = "crops"


def cut(image: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """Return the pixels of `image` in `box`, with a margin."""
    height, width = image.shape[:2]
    x, y = (box[2] - box[0]) * MARGIN, (box[3] - box[1]) * MARGIN
    x1, y1 = max(0, int(box[0] - x)), max(0, int(box[1] - y))
    x2, y2 = min(width, int(np.ceil(box[2] + x))), min(height, int(np.ceil(box[3] + y)))
    return np.ascontiguousarray(image[y1:y2, x1:x2])


async def crop(blobs: Blobs, frame: Frame, box: Sequence[float]) -> bytes | None:
    """Return the part `box` of a frame as PNG; None where its image cannot be read."""
    image = await read(blobs, frame)
    if image is None:
        return None
    part = cut(image, box)
    return cv2.imencode(".png", part)[1].tobytes() if part.size else None


def _name(pair: BlurPair, side: str) -> str:
    return f"{pair.id}-{side}"


async def _save(blobs: Blobs, database: Database, pair: BlurPair, folder: Path) -> bool:
    """Write the crops of `pair`, those that are missing; False where a frame cannot be read."""
    for side, frame, box in (("left", pair.left, pair.left_box), ("right", pair.right, pair.right_box)):
        path = folder / CROPS / f"{_name(pair, side)}.png"
        if path.exists():
            continue
        async with database.read() as session:
            row = await session.get(Frame, frame)
        data = None if row is None else await crop(blobs, row, box)
        if data is None:
            return False
        await asyncio.to_thread(write_atomic, path, data)
    return True


async def save(database: Database, blobs: Blobs, folder: Path) -> int:
    """Write every answered pair below `folder` and return how many answers there are. Raises OSError."""
    (folder / CROPS).mkdir(parents=True, exist_ok=True)
    async with database.read() as session:
        query = select(BlurPair, PairLabel).join(PairLabel, PairLabel.pair == BlurPair.id)
        rows = [(p, a) for p, a in await session.execute(query.order_by(BlurPair.id, PairLabel.author))]
    lines: list[dict[str, Any]] = []
    for pair, said in rows:
        if await _save(blobs, database, pair, folder):
            lines.append(
                {
                    "left": _name(pair, "left"), "right": _name(pair, "right"), "answer": said.answer,
                    "by": said.author, "at": said.at.isoformat(), "seconds": said.seconds, "label": pair.label,
                }
            )  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    await asyncio.to_thread(write_atomic, folder / LIST, text.encode())
    return len(lines)
