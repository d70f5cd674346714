"""``data snapshot``, ``snapshots``, ``diff`` and ``verify``: data sets that never change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from central.annotate import datasets
from central.annotate.datasets import SnapshotError
from central.commands.common import Data, Json, load, plain_errors, result, store
from central.settings import Settings
from central.store.models import Snapshot, SnapshotNote

T = TypeVar("T")
MAX_LISTED = 200
Address = Annotated[str, typer.Argument(help="Of a snapshot; its first six digits or more will do.")]


def _run(settings: Settings, work: Callable[[Session], T], write: bool = False) -> T:
    async def run() -> T:
        async with store(settings) as database:
            return await (database.run_write if write else database.run_read)(work)

    return asyncio.run(run())


def take(
    name: Annotated[str, typer.Option(max=64, help="What it is for.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """Take a snapshot of every labelled frame. The same labels give the same one.

    Example: wayside-central data snapshot --name "before the winter"
    """

    def work(session: Session) -> dict[str, Any]:
        row = datasets.take(session, name, "")
        return {"address": row.address, "frames": row.frames, "labels": row.labels}

    with plain_errors():
        done = _run(load(data=data), work, write=True)
    result(done, as_json, f"{done['address']}: {done['frames']} frames, {done['labels']} labels")


def listed(data: Data = None, as_json: Json = False) -> None:
    """List the snapshots, newest first.

    Example: wayside-central data snapshots --json
    """

    def work(session: Session) -> list[dict[str, Any]]:
        columns = select(Snapshot.address, Snapshot.created, Snapshot.frames, Snapshot.labels, SnapshotNote.name)
        query = columns.outerjoin(SnapshotNote, SnapshotNote.snapshot == Snapshot.address)
        rows = session.execute(query.order_by(Snapshot.created.desc(), Snapshot.address).limit(MAX_LISTED))
        return [{"address": a, "at": t, "frames": f, "labels": n, "name": name or ""} for a, t, f, n, name in rows]

    with plain_errors():
        found = _run(load(data=data), work)
    lines = [
        f"{s['address'][:12]}  {s['at']:%Y-%m-%d %H:%M}  {s['frames']:>8} {s['labels']:>9}  {s['name']}" for s in found
    ]
    result({"snapshots": found}, as_json, "\n".join(lines))


def compare(first: Address, second: Address, data: Data = None, as_json: Json = False) -> None:
    """Say what changed from one snapshot to another: frames, and labels by class and camera.

    Example: wayside-central data diff 3f9a01 77c2e4
    """
    with plain_errors(SnapshotError):
        found = _run(load(data=data), lambda session: datasets.difference(session, first, second))
    lines = [f"{'frames':24} {_line(found.frames)}"]
    lines += [
        f"{name:24} {_line(tally)}" for part in (found.labels, found.cameras) for name, tally in sorted(part.items())
    ]
    result(asdict(found), as_json, "\n".join(lines))


def _line(tally: datasets.Tally) -> str:
    return f"{tally.before:>9} -> {tally.after:<9} +{tally.added} -{tally.removed} ~{tally.changed}"


def verify(address: Address, data: Data = None, as_json: Json = False) -> None:
    """Prove that a snapshot is what it was: its list, and every answer in it. Exit status 1 where it is not.

    Example: wayside-central data verify 3f9a01
    """
    with plain_errors(SnapshotError):
        problems = _run(load(data=data), lambda session: datasets.verify(session, address))
    result({"whole": not problems, "problems": problems}, as_json, "\n".join(problems) or "whole")
    raise typer.Exit(1 if problems else 0)
