"""Deleting again: what a log says was deleted, and a backup brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from central.store.blobs import Blobs
from central.store.database import Database
from central.store.models import AuditEntry, Deletion, DeletionRun, Frame
from central.store.retention import RetentionError, away, record
from central.store.retention.record import Item, Run

PART: Final = 500
"""Items of one transaction."""


@dataclass
class Again:
    """What was deleted again, and how many runs of the log this centre did not know."""

    frames: int = 0
    labels: int = 0
    audit: int = 0
    runs: int = 0


def _grouped(path: Path) -> Iterator[tuple[Run, list[Item]]]:
    run: Run | None = None
    part: list[Item] = []
    for each in record.read(path):
        if isinstance(each, Run):
            if run is not None:
                yield run, part
            run, part = each, []
        else:
            part.append(each)
            if run is not None and len(part) >= PART:
                yield run, part
                part = []
    if run is not None:
        yield run, part


def known(session: Session) -> tuple[int, str]:
    """Return number and hash of the last sealed run; 0 and the hash before the first where there is none."""
    query = select(DeletionRun.number, DeletionRun.hash).where(DeletionRun.hash != "")
    row = session.execute(query.order_by(DeletionRun.number.desc()).limit(1)).first()
    return (0, record.FIRST) if row is None else (int(row[0]), str(row[1]))


def _follows(session: Session, path: Path) -> bool:
    """Whether the runs of the log that are not known here follow those that are."""
    number, head = known(session)
    for each in record.read(path):
        if isinstance(each, Run):
            if each.number == number and each.hash != head:
                return False
            if each.number > number:
                return each.number == number + 1 and each.previous == head
    return True


async def apply(
    database: Database, blobs: Blobs, data: Path, path: Path, trusted: Sequence[str],
    told: Callable[[int], None] = lambda _: None,
) -> Again:  # fmt: skip
    """Delete what the log at `path` says was deleted and is there; take its runs into this centre's chain.

    `trusted` are public keys, hexadecimal. Raises RetentionError where the log is not sound, or tells of a chain that
    is not this centre's; BlobError, OSError.
    """
    checked = record.check(path, trusted)
    if checked.problems:
        raise RetentionError(f"{path}: {checked.problems[0]}; nothing was deleted")
    if not await database.run_read(lambda session: _follows(session, path)):
        raise RetentionError(f"{path}: its runs do not follow those of this centre; nothing was deleted")
    done = Again()
    for run, items in _grouped(path):
        keys = await database.run_write(lambda s, run=run, items=items: _take(s, run, items, done))  # type: ignore[misc]
        await away.images(blobs, keys)
        for copy in away.copies(data, {item.item for item in items}):
            copy.unlink(missing_ok=True)
        told(len(items))
    return done


def _take(session: Session, run: Run, items: Sequence[Item], done: Again) -> list[str]:
    """Delete `items` of `run`, note them where they are not known, and return keys of images that have to go."""
    away.wipe(session)
    if session.get(DeletionRun, run.number) is None:
        session.add(_row(run))
        session.flush()
        done.runs += 1
    ids = [item.item for item in items]
    query = select(Deletion.kind, Deletion.item).where(Deletion.run == run.number, Deletion.item.in_(ids))
    there = {(kind, item) for kind, item in session.execute(query)}
    session.add_all(_tombstone(run, item) for item in items if (item.kind, item.item) not in there)
    session.flush()
    keys = [item.blob for item in items if item.blob]
    return keys + _frames(session, items, done) + _labels(session, items, done) + _audit(session, items, done)


def _frames(session: Session, items: Sequence[Item], done: Again) -> list[str]:
    wanted = {item.item: item.sha256 for item in items if item.kind == "frame"}
    rows = [f for f in session.scalars(select(Frame).where(Frame.id.in_(wanted))) if f.sha256 == wanted[f.id]]
    keys = [frame.blob for frame in rows]
    for frame in rows:
        session.delete(frame)
    session.flush()
    done.frames += len(rows)
    return keys


def _labels(session: Session, items: Sequence[Item], done: Again) -> list[str]:
    wanted = {item.item: item.sha256 for item in items if item.kind == "labels"}
    query = select(Frame).where(Frame.id.in_(wanted)).options(selectinload(Frame.annotations))
    for frame in session.scalars(query).all():
        if away.digest(away.answers(session, frame)) == wanted[frame.id]:
            away.strip(session, frame)
            done.labels += 1
    return []


def _audit(session: Session, items: Sequence[Item], done: Again) -> list[str]:
    wanted = {int(item.item): item.sha256 for item in items if item.kind == "audit" and item.item.isdigit()}
    for row in session.scalars(select(AuditEntry).where(AuditEntry.id.in_(wanted))).all():
        if away.digest(away.entry(row)) == wanted[row.id]:
            session.delete(row)
            done.audit += 1
    session.flush()
    return []


def _row(run: Run) -> DeletionRun:
    return DeletionRun(
        number=run.number, started=datetime.fromisoformat(run.started), finished=datetime.fromisoformat(run.finished),
        by=run.by, rules=run.rules, kept=run.kept, items=run.items, bytes=run.bytes, items_sha256=run.items_sha256,
        previous=run.previous, hash=run.hash, key=run.key, signature=run.signature,
    )  # fmt: skip


def _tombstone(run: Run, item: Item) -> Deletion:
    return Deletion(
        run=run.number, kind=item.kind, item=item.item, node=item.node, camera=item.camera, site=item.site,
        sha256=item.sha256, size_bytes=item.bytes, blob=item.blob, why=item.why, at=datetime.fromisoformat(item.at),
        erased=True,
    )  # fmt: skip


def told(done: Again) -> str:
    """Return what was done, in words."""
    return (
        f"deleted again: {done.frames} frames, labels of {done.labels}, {done.audit} entries of the audit log; "
        f"{done.runs} runs were not known here"
    )
