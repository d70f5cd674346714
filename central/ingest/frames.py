"""A batch of frames into the store: images, then rows, then (by the caller) receipts.

    received -> decoded and checked -> not stored yet? -> blobs (durable) -> rows (committed) -> receipts

Killed anywhere in between, nothing is lost and no frame is there twice: without a receipt the node sends the frame
again, and its row is known by id and by (node, boot, sequence). An image without a row is all that may be left.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from central.ingest.inspect import RefusedError, check
from central.ingest.parked import Refused
from central.ingest.value import priority
from central.link import Received
from central.store.blobs import Blobs, frame_key
from central.store.bulk import Bulk
from central.store.database import Database
from central.store.models import Annotation, Camera, Deletion, Frame, Node
from protocols import codec
from protocols.messages import Detection, FrameMessage, utc_now


@dataclass
class Checked:
    """The frames of a batch that may be stored, and which may not and why."""

    frames: list[FrameMessage] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    received: dict[str, Received] = field(default_factory=dict)
    """By id, as they came."""


@dataclass
class Stored:
    """What came of a batch: ids to acknowledge by node, how many are new, their bytes, and who was refused and why."""

    receipts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    new: int = 0
    bytes: int = 0
    refused: list[Refused] = field(default_factory=list)
    clashes: list[FrameMessage] = field(default_factory=list)
    """Frames whose id or place something else has."""


def decode(batch: Iterable[Received]) -> Checked:
    """Decode and check `batch`. Pure and slow (hashing), so run it beside the event loop."""
    result = Checked()
    for received in batch:
        try:
            message = codec.decode("frames", received.payload)
            if isinstance(message, FrameMessage):
                check(message, received.node)
                result.frames.append(message)
                result.received[message.id] = received
        except (codec.CodecError, RefusedError) as error:
            result.refused.append(Refused(received, str(error)))
    return result


def pack_embedding(embedding: Sequence[float] | None) -> bytes | None:
    """Return `embedding` as little-endian float32, or None."""
    return None if embedding is None else struct.pack(f"<{len(embedding)}f", *embedding)


def _row(message: FrameMessage, blob: str, received: datetime) -> dict[str, Any]:
    plain = msgspec.to_builtins
    return {
        "id": message.id, "node": message.node, "site": message.site, "camera": message.camera, "name": message.name,
        "index": message.index, "boot": message.boot, "sequence": message.sequence, "captured_at": message.time,
        "received_at": received, "width": message.width, "height": message.height, "size_bytes": len(message.image),
        "sha256": message.sha256, "blob": blob, "pack": message.pack, "value": priority(message),
        "assessment": plain(message.assessment), "selection": plain(message.selection),
        "detections": plain(message.detections), "redactions": plain(message.redactions),
        "embedding": pack_embedding(message.embedding), **_FRAME_DEFAULTS,
    }  # fmt: skip


def _proposal(frame: str, detection: Detection, created: datetime) -> dict[str, Any]:
    x1, y1, x2, y2 = detection.box
    return {
        "frame": frame, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "label": detection.label, "source": "node",
        "score": detection.score, "created": created, "confirmed": False, "revision": 0, "author": None,
    }  # fmt: skip


@dataclass(frozen=True)
class _Known:
    """Frames that are stored: their hashes by id, and by (node, boot, sequence)."""

    by_id: dict[str, tuple[str, str]]
    by_place: dict[tuple[str, str, int], str]

    def verdict(self, message: FrameMessage) -> bool | None:
        """True: stored already. False: not. None: something else has its id or its place."""
        held = self.by_id.get(message.id)
        if held is not None:
            return True if held == (message.node, message.sha256) else None
        place = self.by_place.get((message.node, message.boot, message.sequence))
        return False if place is None else (True if place == message.sha256 else None)

    def add(self, message: FrameMessage) -> None:
        self.by_id[message.id] = (message.node, message.sha256)
        self.by_place[message.node, message.boot, message.sequence] = message.sha256


def _stored(session: Session, frames: Sequence[FrameMessage]) -> _Known:
    """Return what is known of `frames` by their ids: enough to pass over what was delivered before. What was stored and
    deleted since counts as stored: a node gets its receipt, and the frame does not come back."""
    ids = {"ids": [f.id for f in frames]}
    gone = session.connection().execute(_DELETED, ids)
    known = {row.id: (row.node, row.sha256) for row in gone}
    found = session.connection().execute(_IDS, ids)
    return _Known(known | {row.id: (row.node, row.sha256) for row in found}, {})


def _known(session: Session, frames: Sequence[FrameMessage]) -> _Known:
    table = _FRAMES.c
    columns = (table.id, table.node, table.boot, table.sequence, table.sha256)
    rows = list(session.execute(select(*columns).where(table.id.in_([f.id for f in frames]))))
    runs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for frame in frames:
        runs[frame.node, frame.boot].append(frame.sequence)
    for (node, boot), numbers in runs.items():
        query = select(*columns).where(table.node == node, table.boot == boot, table.sequence.in_(numbers))
        rows += session.execute(query)
    return _Known({r.id: (r.node, r.sha256) for r in rows}, {(r.node, r.boot, r.sequence): r.sha256 for r in rows})


def _sort(frames: Sequence[FrameMessage], known: _Known, stored: Stored) -> list[FrameMessage]:
    """Return the new ones among `frames`; note in `stored` who gets a receipt and who is refused."""
    new = []
    for message in frames:
        verdict = known.verdict(message)
        if verdict is None:
            stored.clashes.append(message)
            continue
        stored.receipts[message.node].append(message.id)
        if not verdict:
            known.add(message)
            new.append(message)
    return new


def _ensure(session: Session, frames: Sequence[FrameMessage]) -> dict[tuple[str, str], datetime | None]:
    """Make rows for nodes that sent frames before they said who they are, and for cameras that nobody spoke of before.
    Return when each camera of these nodes had its newest frame."""
    sites = {message.node: message.site for message in frames}
    sizes = {(message.node, message.camera): (message.width, message.height) for message in frames}
    found = session.connection().execute(_LAST_FRAMES, {"names": list(sites)})
    last = {(row.node, row.name): row.last_frame_at for row in found}
    new = sorted(set(sizes) - set(last))
    if new:
        lacking = {node for node, _ in new}
        known = set(session.scalars(select(_NODES.c.name).where(_NODES.c.name.in_(lacking))))
        session.add_all([Node(name=name, site=sites[name]) for name in sorted(lacking - known)])
        session.flush()
        for place in new:
            session.add(Camera(node=place[0], name=place[1], width=sizes[place][0], height=sizes[place][1]))
        session.flush()
    return last


def _heard(
    session: Session, frames: Sequence[FrameMessage], last: dict[tuple[str, str], datetime | None], now: datetime
) -> None:
    """Note that the nodes were heard, and the newest frame of each camera.

    Last of all, as these rows are those of everybody who stores frames of these nodes at this time; and first of all
    their nodes' rows are locked, in order, as `central.ingest.presence` does: whoever has them has the cameras' too.
    """
    newest: dict[tuple[str, str], FrameMessage] = {}
    for message in frames:
        place = (message.node, message.camera)
        at = last.setdefault(place, None)
        if at is None or at <= message.time or at > now:  # a clock that was ahead must not freeze the picture
            last[place], newest[place] = message.time, message
    changes = [
        {"of": node, "called": name, "id": message.id, "at": message.time, "now": now}
        for (node, name), message in sorted(newest.items())
    ]
    connection, names = session.connection(), sorted({message.node for message in frames})
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCKED, {"names": names})
    connection.execute(_HEARD, {"names": names, "now": now})
    if changes:
        connection.execute(_NEWEST, changes)


def _insert(session: Session, frames: Sequence[FrameMessage], keys: Mapping[str, str]) -> None:
    """Insert rows for `frames`, whose images are stored under `keys` (by id)."""
    if not frames:
        return
    now = utc_now()
    last = _ensure(session, frames)
    connection = session.connection()
    _INSERT_FRAMES.run(connection, [_row(message, keys[message.id], now) for message in frames])
    _INSERT_BOXES.run(connection, [_proposal(m.id, d, now) for m in frames for d in m.detections])
    _heard(session, frames, last, now)


async def store(
    database: Database, blobs: Blobs, checked: Checked, written: Callable[[], None] = lambda: None
) -> Stored:
    """Store what is new in `checked` and return who gets a receipt. When this returns, all of it is durable; `written`
    is called before the commit, when the images are.

    Raises BlobError or an error of the database; then nothing may be acknowledged, and the nodes send it again.
    """
    stored = Stored(refused=list(checked.refused))
    if not checked.frames:
        return stored
    known = await database.run_read(lambda session: _stored(session, checked.frames))
    new = _sort(checked.frames, known, stored)
    if not new:
        stored.refused += _clashes(checked, stored)
        return stored
    kept = await blobs.keep([(frame_key(message.id), message.image) for message in new])
    keys = {message.id: key for message, key in zip(new, kept, strict=True)}
    written()
    try:
        again, fresh = await _commit(database, new, keys)
    finally:
        blobs.settle(kept)
    stored.new, stored.bytes = len(fresh), sum(len(message.image) for message in fresh)
    stored.clashes += again.clashes
    stored.refused += _clashes(checked, stored)
    late = {m.id for m in new} - {i for ids in again.receipts.values() for i in ids}
    for node, ids in stored.receipts.items() if late else ():
        stored.receipts[node] = [i for i in ids if i not in late]
    return stored


def _clashes(checked: Checked, stored: Stored) -> list[Refused]:
    reason = "another frame has this id, or this boot and sequence"
    return [Refused(checked.received[message.id], reason) for message in stored.clashes]


async def _commit(
    database: Database, new: Sequence[FrameMessage], keys: Mapping[str, str]
) -> tuple[Stored, Sequence[FrameMessage]]:
    """Insert `new`, or those of them whose id and place (node, boot, sequence) nothing else has: where something has,
    that decides."""

    def sorted_out(session: Session) -> tuple[Stored, list[FrameMessage]]:
        again = Stored()
        fresh = _sort(new, _known(session, new), again)
        _insert(session, fresh, keys)
        return again, fresh

    try:
        await database.run_write(lambda session: _insert(session, new, keys), beside=True)
    except IntegrityError:
        return await database.run_write(sorted_out, beside=True)
    again = Stored()
    for message in new:
        again.receipts[message.node].append(message.id)
    return again, new


_FRAMES, _BOXES = cast(Table, Frame.__table__), cast(Table, Annotation.__table__)
_NODES, _CAMERAS = cast(Table, Node.__table__), cast(Table, Camera.__table__)
_DELETIONS: Final = cast(Table, Deletion.__table__)
_FRAME_DEFAULTS: Final[dict[str, Any]] = {"state": "pending", "revision": 0, "complete_for": []}

# Made once, the statements of each batch.
_OF_THESE: Final = _NODES.c.name.in_(bindparam("names", expanding=True))
_LOCKED: Final = select(_NODES.c.name).where(_OF_THESE).order_by(_NODES.c.name).with_for_update(key_share=True)
_HEARD: Final = update(_NODES).where(_OF_THESE).values(last_seen=bindparam("now"))
_LAST_FRAMES: Final = select(_CAMERAS.c.node, _CAMERAS.c.name, _CAMERAS.c.last_frame_at).where(
    _CAMERAS.c.node.in_(bindparam("names", expanding=True))
)
_NEWEST: Final = (
    update(_CAMERAS)
    .where(_CAMERAS.c.node == bindparam("of"), _CAMERAS.c.name == bindparam("called"))
    .where(  # again, as another worker may have noted one meanwhile
        _CAMERAS.c.last_frame_at.is_(None)
        | (_CAMERAS.c.last_frame_at <= bindparam("at"))
        | (_CAMERAS.c.last_frame_at > bindparam("now"))
    )
    .values(last_frame_id=bindparam("id"), last_frame_at=bindparam("at"))
)
_IDS: Final = select(_FRAMES.c.id, _FRAMES.c.node, _FRAMES.c.sha256).where(
    _FRAMES.c.id.in_(bindparam("ids", expanding=True))
)
_DELETED: Final = select(_DELETIONS.c.item.label("id"), _DELETIONS.c.node, _DELETIONS.c.sha256).where(
    _DELETIONS.c.item.in_(bindparam("ids", expanding=True)), _DELETIONS.c.kind == "frame"
)
_INSERT_FRAMES: Final = Bulk(_FRAMES, [
    "id", "node", "site", "camera", "name", "index", "boot", "sequence", "captured_at", "received_at", "width",
    "height", "size_bytes", "sha256", "blob", "pack", "value", "assessment", "selection", "detections", "redactions",
    "embedding", *_FRAME_DEFAULTS,
])  # fmt: skip
_INSERT_BOXES: Final = Bulk(_BOXES, [
    "frame", "x1", "y1", "x2", "y2", "label", "source", "score", "created", "confirmed", "revision", "author",
])  # fmt: skip
