"""Taking away: rows, in the caller's transaction, with a tombstone for each; then, after the commit, images and copies.

A row goes only with its tombstone, and an image only after both are durable: whatever is killed, either the frame is
there, whole, or it is known that its image has to go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.orm import Session

from central.store.blobs import Blobs
from central.store.models import (
    Annotation,
    AuditEntry,
    BlurPair,
    Camera,
    Deletion,
    Draft,
    Frame,
    FrameQuestion,
    LabelRevision,
    Opinion,
    QuestionAnswer,
    Verdict,
)

COPIES: Final = ("rounds", "jobs", "registry")
"""Folders of the data folder where work in the background puts images, named by their frames."""
MAX_WHY: Final = 200
_OF_LABELS: Final = (LabelRevision, Opinion, Verdict, QuestionAnswer, FrameQuestion, Draft)


def digest(value: Any) -> str:
    """Return the SHA-256 of `value` as canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def wipe(session: Session) -> None:
    """Have SQLite overwrite what is deleted in this connection from now on, and not only forget where it was."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA secure_delete=ON"))


def frames(session: Session, run: int, rows: Sequence[Frame], why: dict[str, str]) -> list[Deletion]:
    """Delete `rows` and all that refers to them; return their tombstones. `why` is by id."""
    ids = [row.id for row in rows]
    made = [
        Deletion(
            run=run, kind="frame", item=row.id, node=row.node, camera=row.camera, site=row.site, sha256=row.sha256,
            size_bytes=row.size_bytes, blob=row.blob, why=why[row.id][:MAX_WHY],
        )
        for row in rows
    ]  # fmt: skip
    session.add_all(made)
    newest = update(Camera).where(Camera.last_frame_id.in_(ids)).values(last_frame_id=None)
    session.execute(newest.execution_options(synchronize_session=False))
    session.execute(delete(Frame).where(Frame.id.in_(ids)).execution_options(synchronize_session=False))
    session.flush()
    return made


def answers(session: Session, frame: Frame) -> dict[str, Any]:
    """Return what was answered about `frame`, for its hash."""
    query = select(LabelRevision).where(LabelRevision.frame == frame.id).order_by(LabelRevision.revision)
    return {
        "frame": frame.id, "complete_for": sorted(frame.complete_for), "tags": dict(frame.tags),
        "revisions": [[r.revision, r.state, r.boxes, r.tags] for r in session.scalars(query)],
        "boxes": [[a.label, a.x1, a.y1, a.x2, a.y2] for a in frame.annotations if a.confirmed],
    }  # fmt: skip


def labels(session: Session, run: int, rows: Sequence[Frame], why: str) -> list[Deletion]:
    """Delete what people answered about `rows`, which stay and count as skipped; return the tombstones."""
    made = []
    for frame in rows:
        content = answers(session, frame)
        made.append(
            Deletion(
                run=run, kind="labels", item=frame.id, node=frame.node, camera=frame.camera, site=frame.site,
                sha256=digest(content), why=why[:MAX_WHY], erased=True,
            )
        )  # fmt: skip
        strip(session, frame)
    session.add_all(made)
    session.flush()
    return made


def strip(session: Session, frame: Frame) -> None:
    """Delete what people answered about `frame`."""
    for table in _OF_LABELS:
        session.execute(delete(table).where(table.frame == frame.id).execution_options(synchronize_session=False))
    pairs = delete(BlurPair).where(or_(BlurPair.left == frame.id, BlurPair.right == frame.id))
    session.execute(pairs.execution_options(synchronize_session=False))
    boxes = delete(Annotation).where(Annotation.frame == frame.id, Annotation.confirmed)
    session.execute(boxes.execution_options(synchronize_session=False))
    values: dict[str, Any] = {
        "state": "skipped", "revision": frame.revision + 1, "complete_for": [], "tags": {}, "opinion": None,
        "labelled_at": None, "labelled_by": None,
    }  # fmt: skip
    change = update(Frame).where(Frame.id == frame.id).values(**values)
    session.execute(change.execution_options(synchronize_session=False))


def entry(row: AuditEntry) -> dict[str, Any]:
    """Return the content of an entry of the audit log, for its hash."""
    at = row.at.isoformat()
    return {"id": row.id, "at": at, "by": row.by, "action": row.action, "target": row.target, "status": row.status}


def audit(session: Session, run: int, rows: Sequence[AuditEntry], why: str) -> list[Deletion]:
    """Delete entries of the audit log; return the tombstones."""
    made = [
        Deletion(run=run, kind="audit", item=str(row.id), sha256=digest(entry(row)), why=why[:MAX_WHY], erased=True)
        for row in rows
    ]
    session.add_all(made)
    gone = delete(AuditEntry).where(AuditEntry.id.in_([row.id for row in rows]))
    session.execute(gone.execution_options(synchronize_session=False))
    session.flush()
    return made


async def images(blobs: Blobs, keys: Iterable[str]) -> None:
    """Take images away, durably. Raises BlobError."""
    await blobs.delete_all(keys)


def copies(data: Path, ids: set[str]) -> list[Path]:
    """Return files in the data folder that are named by one of the frames `ids`."""
    folders = [data / name for name in COPIES]
    found = (path for folder in folders if folder.is_dir() for path in folder.rglob("*.*"))
    return [path for path in found if path.stem in ids and path.is_file()]
