"""Finding where a round starts: what a start names, or the most similar of all packs that are known here.

frames that are new -> embedded by the pack of the settings -> compared with what each pack was trained on
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np
from sqlalchemy import func, select

from central import settings
from central.learn.start import StartError, read_pack
from central.learn.transfer import AUTO, Beginning, TransferError, named, proposed
from central.learn.transfer_similarity import Array, Likeness, Place, likeness
from central.releases.registry import register
from central.store import blobs as blob_store
from central.store.blobs import BlobError, Blobs
from central.store.database import Database
from central.store.models import Annotation, Frame, Snapshot
from central.store.models import Pack as PackRow
from edge.runtime import RuntimeFault
from edge.runtime.model import Model
from protocols.pack import PROTOTYPES, Pack, PackError, open_folder

SAMPLE: Final = 48
"""Frames of each place that are embedded: a second or two on one core."""
MOST: Final = 12
"""Newest registered packs that are compared."""


async def begin(
    database: Database, settled: settings.Settings, running: Pack, origin: Pack, new: Sequence[str], start: str
) -> Beginning:
    """Return where a round on the frames `new` (ids) starts that was asked to start from `start`.

    Raises TransferError, PackError, OSError.
    """
    if not start:
        return Beginning(running)
    if start == AUTO:
        return await _similar(database, settled, running, origin, new)
    found = await asyncio.to_thread(named, start, running, settled.packs)
    known = {running.address, origin.address}
    if found.pack.address not in known and not (settled.packs / found.pack.address).is_dir():
        await register(database, settled.packs, found.pack)
    return found


async def _similar(
    database: Database, settled: settings.Settings, running: Pack, origin: Pack, new: Sequence[str]
) -> Beginning:
    candidates = await _candidates(database, settled, running, origin)
    store = blob_store.connect(settled.blob_url, settled.data / "blobs")
    try:
        with Model(origin, "auto", threads=1) as model:
            here = await _place(database, store, model, "the new frames", new)
            table = [await _compared(database, store, model, pack, here) for pack in candidates.values()]
    except RuntimeFault as error:
        raise TransferError(f"start auto: {origin.manifest.name} cannot embed frames: {error}") from None
    finally:
        store.close()
    return proposed(table, candidates, running)


async def _candidates(database: Database, settled: settings.Settings, running: Pack, origin: Pack) -> dict[str, Pack]:
    """Return by address the packs that a round may start from: what runs, the first one, and those that rounds made."""
    query = select(PackRow.address).where(PackRow.held.is_(None)).order_by(PackRow.registered.desc()).limit(MOST)
    async with database.read() as session:
        addresses = list(await session.scalars(query))
    found = {running.address: running, origin.address: origin}
    for address in addresses:
        try:
            pack = open_folder(settled.packs / address)
            await asyncio.to_thread(read_pack, pack)
        except (PackError, StartError, OSError):
            continue  # somebody else's detector, or gone
        found.setdefault(address, pack)
    return found


async def _compared(database: Database, store: Blobs, model: Any, pack: Pack, here: Place) -> Likeness:
    name = pack.manifest.name
    frames: list[str] = []
    if pack.manifest.snapshot is not None:
        async with database.read() as session:
            row = await session.get(Snapshot, pack.manifest.snapshot)
        frames = [] if row is None else [item["frame"] for item in row.items]
    if frames:
        there = await _place(database, store, model, name, frames)
    else:
        points = _prototypes(pack) if pack.address == model.pack.address else np.zeros((0, 1))
        there = Place(name, points, {}, len(points))
    return likeness(pack.address, there, here)


def _prototypes(pack: Pack) -> Array:
    """Return what `pack` itself keeps of its training frames, ``[N, D]``: embedded by it, so good for no other one."""
    if PROTOTYPES not in pack.manifest.files:
        return np.zeros((0, 1))
    with np.load(pack.path(PROTOTYPES), allow_pickle=False) as file:
        return np.asarray(next((file[name] for name in file.files if file[name].ndim == 2), np.zeros((0, 1))), float)


async def _place(database: Database, store: Blobs, model: Any, name: str, frames: Sequence[str]) -> Place:
    chosen = list(frames)[:: max(1, len(frames) // SAMPLE)][:SAMPLE]
    async with database.read() as session:
        blobs = list(await session.scalars(select(Frame.blob).where(Frame.id.in_(chosen)).order_by(Frame.id)))
        counted = select(Annotation.label, func.count()).where(Annotation.frame.in_(chosen), Annotation.confirmed)
        boxes: Mapping[str, int] = Counter(dict((await session.execute(counted.group_by(Annotation.label))).all()))
    points = []
    for blob in blobs:
        try:
            data = await store.read(blob)
        except BlobError:
            continue
        point = await asyncio.to_thread(_embedded, model, data)
        if point is not None:
            points.append(point)
    return Place(name, np.array(points) if points else np.zeros((0, 1)), boxes, len(frames))


def _embedded(model: Any, data: bytes) -> Array | None:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    found = model.infer(image).embedding
    return None if found is None else np.asarray(found, np.float64)
