"""Snapshots: data sets that never change, and what changed between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from central.annotate import datasets
from central.annotate.datasets import SnapshotError
from central.api import schemas as s
from central.api.access import Engineer, Viewer
from central.api.context import Centre, CentreDep
from central.api.errors import documented, not_found
from central.store.models import Snapshot, SnapshotNote
from protocols.messages import SHA256_HEX

router = APIRouter(prefix="/snapshots", tags=["data sets"])
Address = Annotated[str, Path(max_length=64)]
T = TypeVar("T")


def _view(row: Snapshot, note: SnapshotNote | None) -> s.SnapshotView:
    name, by = ("", "") if note is None else (note.name, note.by)
    return s.SnapshotView(
        address=row.address, at=row.created, frames=row.frames, labels=row.labels, name=name, by=by
    )  # fmt: skip


async def _run(centre: Centre, address: str, work: Callable[[Session], T]) -> T:
    try:
        return await centre.database.run_read(work)
    except SnapshotError:
        raise not_found(f"snapshot {address}") from None


@router.get("", responses=documented(401, 422))
async def snapshots(
    _: Viewer,
    centre: CentreDep,
    cursor: Annotated[str | None, Query(pattern=SHA256_HEX)] = None,
    limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50,
) -> s.SnapshotPage:
    """The snapshots, newest first."""
    query = select(Snapshot, SnapshotNote).outerjoin(SnapshotNote, SnapshotNote.snapshot == Snapshot.address)
    query = query.options(defer(Snapshot.items))
    async with centre.database.read() as session:
        if cursor is not None:
            last = await session.scalar(select(Snapshot.created).where(Snapshot.address == cursor))
            if last is not None:
                older = (Snapshot.created < last) | ((Snapshot.created == last) & (Snapshot.address > cursor))
                query = query.where(older)
        rows = await session.execute(query.order_by(Snapshot.created.desc(), Snapshot.address).limit(limit + 1))
        items = [_view(row, note) for row, note in rows]
    return s.SnapshotPage(items=items[:limit], next=items[limit - 1].address if len(items) > limit else None)


@router.post("", status_code=201, responses=documented(401, 403, 422))
async def take(body: s.SnapshotBody, person: Engineer, centre: CentreDep) -> s.SnapshotView:
    """Take a snapshot of every labelled frame. The same labels give the same one; a name that it has already stays."""

    def work(session: Session) -> s.SnapshotView:
        row = datasets.take(session, body.name, person.name)
        return _view(row, session.get(SnapshotNote, row.address))

    return await centre.database.run_write(work)


@router.get("/{address}", responses=documented(401, 404))
async def snapshot(address: Address, _: Viewer, centre: CentreDep) -> s.SnapshotView:
    """One snapshot. The first six digits of its address, or more, will do."""

    def work(session: Session) -> s.SnapshotView:
        row = datasets.find(session, address)
        return _view(row, session.get(SnapshotNote, row.address))

    return await _run(centre, address, work)


@router.get("/{address}/check", responses=documented(401, 404))
async def check(address: Address, _: Viewer, centre: CentreDep) -> s.SnapshotCheck:
    """Whether its list has its address, and every answer in it is there."""
    problems = await _run(centre, address, lambda session: datasets.verify(session, address))
    return s.SnapshotCheck(whole=not problems, problems=problems)


@router.get("/{address}/diff", responses=documented(401, 404, 422))
async def diff(
    address: Address, to: Annotated[str, Query(max_length=64)], _: Viewer, centre: CentreDep
) -> s.DifferenceView:
    """What changed from this snapshot to another: frames, and labels by class and camera."""
    found = await _run(centre, f"{address} or {to}", lambda session: datasets.difference(session, address, to))
    return s.DifferenceView.model_validate(asdict(found))
