"""Rounds as jobs: one at a time, every report a change of its row.

    start -> Round (queued) -> job central.jobs.rounds:run -> reports -> Round (training ... done | failed)

`central.learn.round` does the work; here it is only watched.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.jobs import Jobs
from central.notify import Notifier
from central.store.database import Database
from central.store.models import Job, Round, RoundState
from protocols.messages import MAX_TEXT, utc_now
from protocols.pack import Pack, PackError, open_folder

FUNCTION: Final = "central.jobs.rounds:run"
OVER: Final = ("done", "failed")
Register = Callable[[Pack], Awaitable[None]]
REPORTED: Final = frozenset(
    {"detail", "frames", "labels", "snapshot", "parent", "pack", "eta_s"}
    | {"ap_before", "ap_after", "ap50_before", "ap50_after"}
)
"""Columns of a round that its reports may set, besides state and progress."""


class RoundBusyError(Exception):
    """A round runs already; `round_id` says which."""

    def __init__(self, round_id: str) -> None:
        super().__init__(f"round {round_id} is still running; wait for it, or cancel it")
        self.round_id = round_id


def run(data: str, round_id: str, options: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run a round in this process: `central.learn.round.run_round` on the folder `data`."""
    learn = importlib.import_module("central.learn.round")
    result: dict[str, Any] = learn.run_round(Path(data), round_id, options, report)
    return result


def columns(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report changes of the row of its round. Only its job says when a round is over."""
    values: dict[str, Any] = {k: v for k, v in step.items() if k in REPORTED}
    if isinstance(values.get("detail"), str):
        values["detail"] = values["detail"][:MAX_TEXT]
    if step.get("state") in get_args(RoundState) and step["state"] not in OVER:
        values["state"] = step["state"]
    if isinstance(step.get("progress"), (int, float)):
        values["progress"] = min(1.0, max(0.0, float(step["progress"])))
    return values


def ending(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the end of its job changes of the row of a round."""
    over = {"finished": utc_now(), "eta_s": None}
    if step["state"] == "done":
        return columns(step["result"]) | {"state": "done", "progress": 1.0} | over
    return columns({"detail": step.get("detail", "failed")}) | {"state": "failed"} | over


async def create(session: AsyncSession, by: str, epochs: int | None) -> Round:
    """Add a round in the open write transaction. Raises RoundBusyError while another one runs."""
    busy = await session.scalar(select(Round.id).where(Round.state.not_in(OVER)))
    if busy is not None:
        raise RoundBusyError(busy)
    number = int(await session.scalar(select(func.count()).select_from(Round)) or 0) + 1
    row = Round(id=f"r{number:04d}", by=by, epochs=epochs, detail="waiting for a process")
    session.add(row)
    await session.flush()
    return row


async def _adopt(data: Path, step: Mapping[str, Any], register: Register) -> Mapping[str, Any]:
    """Take the pack of a round that ended into the registry and return `step`, or a failure where that is refused."""
    address = (step.get("result") or {}).get("pack")
    if step["state"] != "done" or not address:
        return step
    folder = Path(step["result"].get("folder") or data / "packs" / address)
    try:
        await register(await asyncio.to_thread(open_folder, folder))
    except (PackError, OSError) as error:
        return {"state": "failed", "detail": f"its pack cannot be registered: {error}"}
    return step


async def start(
    database: Database,
    jobs: Jobs,
    notifier: Notifier,
    data: Path,
    by: str,
    options: Mapping[str, Any],
    register: Register,
) -> str:
    """Start a round in the background and return its id. Raises RoundBusyError, JobError."""
    async with database.write() as session:
        round_id = (await create(session, by, options.get("epochs"))).id

    async def change(**values: str | float | datetime | None) -> None:
        async with database.write() as session:
            await session.execute(update(Round).where(Round.id == round_id).values(**values))
        notifier.emit("round")

    async def listen(kind: Literal["report", "end"], step: Mapping[str, Any]) -> None:
        values = ending(await _adopt(data, step, register)) if kind == "end" else columns(step)
        if values:
            await change(**values)

    await change(started=utc_now())
    try:
        args = {"data": str(data), "round_id": round_id, "options": dict(options)}
        await jobs.submit(FUNCTION, args, listener=listen)
    except Exception as error:
        await change(state="failed", detail=str(error)[:MAX_TEXT], finished=utc_now())
        raise
    return round_id


async def cancel(database: Database, jobs: Jobs, round_id: str) -> bool:
    """Stop a running round; False where it runs no more."""
    async with database.read() as session:
        rows = await session.scalars(select(Job).where(Job.function == FUNCTION, Job.state == "running"))
        found = next((job.id for job in rows if job.args.get("round_id") == round_id), None)
    return found is not None and await jobs.cancel(found)


async def recover(database: Database, detail: str) -> None:
    """Mark rounds that an earlier server left running as failed."""
    async with database.write() as session:
        await session.execute(
            update(Round).where(Round.state.not_in(OVER)).values(state="failed", detail=detail, finished=utc_now())
        )
