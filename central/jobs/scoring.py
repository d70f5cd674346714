"""A pack looks at stored frames, batch by batch: in this process, or by actors of a Ray cluster.

    items (id, blob) -> batches -> `Scorer`: read from the blob store, decode, look -> `Seen` -> one writer

Images never pass through whoever asks: each actor reads what it looks at from the blob store by its URL, and holds the
pack's model. The pack travels to it as an archive. A batch whose actor died is not repeated here: its frames are simply
still open when the writer is asked again (`central.jobs.backlog`).
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from central.annotate.eyes import Eyes
from central.store import blobs as blob_store
from central.store.blobs import BlobError
from edge.runtime import Detections
from edge.runtime.model import Model
from protocols.pack import unpack

DEATHS: Final = 3
"""Actors in a row that may die while they start: a node that just died is offered for some seconds more."""
BATCH: Final = 64
"""Frames of one batch: half a second of a model's work, and one transaction of the writer."""
THREADS: Final = 1
"""Of a model: there are as many actors as cores."""


@dataclass(frozen=True)
class Item:
    """A frame to look at: its id, and its key in the blob store."""

    id: str
    blob: str


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What was seen in a frame: boxes xyxy in its pixels, scores 0..1, classes of the pack, best first. `trouble` says
    why it could not be looked at."""

    id: str
    boxes: list[tuple[float, float, float, float]] = []
    scores: list[float] = []
    classes: list[int] = []
    tags: dict[str, float] = {}
    trouble: str = ""

    def detections(self) -> Detections:
        """Return it as a model does."""
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        return Detections(boxes, np.array(self.scores, np.float32), np.array(self.classes, np.int64))


@dataclass(frozen=True)
class Sight:
    """What a scorer needs: the archive of a pack, the blob store, and whether it looks `closely` (as proposals do:
    twice, and at the parts of large images) or once."""

    archive: bytes
    blob_url: str | None
    blob_folder: str
    closely: bool = True


class Scorer:
    """An opened model and an opened blob store; one per actor. Raises PackError, RuntimeFault, BlobError."""

    def __init__(self, sight: Sight) -> None:
        with tempfile.TemporaryDirectory(prefix="wayside-pack-") as folder:
            path = Path(folder, "pack.wpack")
            path.write_bytes(sight.archive)
            self._model = Model(unpack(path, Path(folder)), backend="cpu", threads=THREADS)
        self._blobs = blob_store.connect(sight.blob_url, Path(sight.blob_folder))
        self._eyes = Eyes(self._model) if sight.closely else None
        self._loop = asyncio.new_event_loop()

    def look(self, items: Sequence[Item]) -> list[Seen]:
        """Return what is seen in each of `items`."""
        return [self._look(item, data) for item, data in zip(items, self._read(items), strict=True)]

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, list[bytes]]:
        """Do the same for a batch of Ray Data: columns ``id`` and ``blob`` to a column ``seen``, encoded."""
        items = [Item(str(i), str(b)) for i, b in zip(batch["id"], batch["blob"], strict=True)]
        return {"seen": [msgspec.msgpack.encode(seen) for seen in self.look(items)]}

    def close(self) -> None:
        """Let go of model and store."""
        self._model.close()
        self._blobs.close()
        self._loop.close()

    def _read(self, items: Sequence[Item]) -> list[bytes | BlobError]:
        async def one(item: Item) -> bytes | BlobError:
            try:
                return await self._blobs.read(item.blob)
            except BlobError as error:
                return error

        async def everything() -> list[bytes | BlobError]:
            return await asyncio.gather(*(one(item) for item in items))

        return self._loop.run_until_complete(everything())

    def _look(self, item: Item, data: bytes | BlobError) -> Seen:
        if isinstance(data, BlobError):
            return Seen(item.id, trouble=str(data)[:200])
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            return Seen(item.id, trouble="not an image")
        pixels = image.astype(np.uint8, copy=False)
        if self._eyes is not None:
            found, tags = self._eyes.see(pixels), dict(self._eyes.tags())
        else:
            once = self._model.infer(pixels)
            found = once.detections
            names = self._model.pack.manifest.tags
            tags = {} if once.tags is None else dict(zip(names, map(float, once.tags), strict=False))
        boxes = [tuple(map(float, box)) for box in found.boxes]
        return Seen(item.id, boxes, found.scores.tolist(), found.classes.tolist(), tags)  # type: ignore[arg-type]


def here(items: Iterable[Item], sight: Sight) -> Iterator[list[Seen]]:
    """Yield what is seen, a batch at a time, by a plain loop in this process."""
    scorer = Scorer(sight)
    left = iter(items)
    try:
        while batch := list(itertools.islice(left, BATCH)):
            yield scorer.look(batch)
    finally:
        scorer.close()


def on_ray(items: Sequence[Item], sight: Sight, workers: int) -> Iterator[list[Seen]]:
    """Yield the same by Ray Data: `workers` actors of one core each, batches in the order in which they are done.

    Batches that were lost with their actor are left out.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what was lost is seen to by the next pass, from the database
    context.max_consecutive_actor_init_deaths = DEATHS
    blocks = -(-len(items) // BATCH)
    data = ray.data.from_items([{"id": i.id, "blob": i.blob} for i in items], override_num_blocks=blocks).map_batches(
        Scorer, fn_constructor_args=(sight,), batch_size=None, num_cpus=1, max_restarts=0, max_task_retries=0,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
    )  # fmt: skip
    decode = msgspec.msgpack.Decoder(Seen).decode
    for batch in data.iter_batches(batch_size=None, prefetch_batches=2):
        yield [decode(row) for row in batch["seen"]]


def cluster_cores() -> int:
    """Return how many cores the cluster that this process is part of has; 0 where it is not part of one."""
    import sys

    ray = sys.modules.get("ray")
    return int(ray.cluster_resources().get("CPU", 1)) if ray is not None and ray.is_initialized() else 0
