"""Rounds as jobs: one at a time, every report a change of its row.

    start -> Round (queued) -> job central.jobs.rounds:run -> reports -> Round (training ... done | failed)
    killed, or the server with it -> resume -> the same job with the same round: it goes on where it was

`central.learn.round` does the work; here it is only watched.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from central.annotate import profile as profiles
from central.jobs import BACKGROUND, PERSON, JobError, Jobs, Listener, Ticket
from central.jobs.rows import INTERRUPTED, LIVE
from central.notify import Notifier
from central.settings import Settings
from central.store.database import Database
from central.store.models import Job, Round, RoundState
from protocols.messages import MAX_TEXT, utc_now
from protocols.pack import Pack, PackError, open_folder

FUNCTION: Final = "central.jobs.rounds:run"
OVER: Final = ("done", "failed")
Register = Callable[[Pack], Awaitable[None]]
REPORTED: Final = frozenset(
    {"detail", "frames", "labels", "snapshot", "parent", "pack", "eta_s"}
    | {"ap_before", "ap_after", "ap50_before", "ap50_after", "offered", "verdict", "gates"}
)
"""Columns of a round that its reports may set, besides state and progress."""
ASKED: Final = ("epochs", "seed", "strategy", "memory_frames", "again", "start", "update")
"""Options that are of the round; the others are settings, as they are whenever it is begun."""
LOCK: Final = "lock"
"""In the folder of a round: held by the process that works there."""
MAX_STARTS: Final = 3
"""A round that ends its process, or the machine, so often is begun no more by itself."""
STILL: Final = "it was ended {starts} times; look at its log, then go on with 'wayside-central round --resume {round}'"


class RoundBusyError(Exception):
    """A round runs already; `round_id` says which."""

    def __init__(self, round_id: str) -> None:
        super().__init__(f"round {round_id} is still running; wait for it, or cancel it")
        self.round_id = round_id


def run(data: str, round_id: str, options: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run a round in this process: `central.learn.round.run.run_round` on the folder `data`."""
    learn = importlib.import_module("central.learn.round.run")
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


def settings_of(settings: Settings) -> dict[str, Any]:
    """Return what every round at this centre is given of its `settings`."""
    names = [name for name in Settings.model_fields if name.startswith("gate_")]
    plain = {name: getattr(settings, name) for name in ("pack", "update_step", *names)}
    together = {"workers": settings.jobs_workers} if settings.jobs and settings.jobs_workers > 1 else {}
    return {"profile": profiles.place(settings), **plain, **together}


async def create(session: AsyncSession, by: str, options: Mapping[str, Any], reason: str = "") -> Round:
    """Add a round in the open write transaction; `reason` says why, where it starts by itself. Raises RoundBusyError
    while another one runs."""
    busy = await session.scalar(select(Round.id).where(Round.state.not_in(OVER)))
    if busy is not None:
        raise RoundBusyError(busy)
    number = int(await session.scalar(select(func.count()).select_from(Round)) or 0) + 1
    asked = {name: options[name] for name in ASKED if options.get(name) is not None}
    row = Round(
        id=f"r{number:04d}", by=by, reason=reason, epochs=asked.get("epochs"), options=asked,
        detail="waiting for a process",
    )  # fmt: skip
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


@dataclass(frozen=True)
class Rounds:
    """Where rounds run: what is watched, and what is told of it."""

    database: Database
    jobs: Jobs
    notifier: Notifier
    data: Path
    register: Register

    async def start(self, by: str, options: Mapping[str, Any], reason: str = "") -> str:
        """Start a round in the background and return its id. Raises RoundBusyError, JobError."""
        async with self.database.write() as session:
            round_id = (await create(session, by, options, reason)).id
        await self._change(round_id, started=utc_now())
        await self._submit(round_id, options)
        return round_id

    async def resume(self, given: Mapping[str, Any], interrupted: bool = False) -> str | None:
        """Go on with the round that an earlier server left running, and return its id; None where there is none.

        `given`: the settings of now. One that another process works on, here or at another server, stays with it; one
        that was begun MAX_STARTS times is given up. `interrupted`: only one whose job is known to have been cut short;
        else also one that has no job yet, or whose end nobody was told.
        """
        async with self.database.read() as session:
            rows = await session.scalars(select(Round).where(Round.state.not_in(OVER)).order_by(Round.created))
            left = [(row.id, row.starts, dict(row.options)) for row in rows]
            jobs = await _newest_jobs(session) if left else {}
        for round_id, starts, options in left:
            job = jobs.get(round_id)
            if job is not None and job.state in LIVE:
                continue
            if interrupted and (job is None or (job.state, job.detail) != ("failed", INTERRUPTED)):
                continue
            if not await asyncio.to_thread(idle, self.data / "rounds" / round_id):
                continue
            if await self._again(round_id, starts, {**given, **options}):
                return round_id
        return None

    async def _again(self, round_id: str, starts: int, options: Mapping[str, Any]) -> bool:
        if starts >= MAX_STARTS:
            detail = STILL.format(starts=starts, round=round_id)
            await self._change(round_id, state="failed", detail=detail, finished=utc_now(), eta_s=None)
            return False
        await self._change(round_id, starts=starts + 1, detail="going on where it was ended")
        try:
            await self._submit(round_id, options)
        except JobError:
            return False
        return True

    async def retry(self, round_id: str, given: Mapping[str, Any]) -> None:
        """Go on with a round that failed. `given`: the settings of now. Raises RoundBusyError, JobError."""
        async with self.database.write() as session:
            busy = await session.scalar(select(Round.id).where(Round.state.not_in(OVER)))
            if busy is not None:
                raise RoundBusyError(busy)
            row = await session.get(Round, round_id)
            if row is None or row.state != "failed":
                raise JobError(f"round {round_id} did not fail")
            row.state, row.starts, row.finished = "queued", row.starts + 1, None
            row.detail, options = "going on where it was ended", {**given, **row.options}
        await self._submit(round_id, options)

    def follower(self, _job: str, args: Mapping[str, Any]) -> Listener:
        """Return what listens to a job that was submitted by an earlier server, or by another one."""
        return self._listener(args["round_id"], args["options"])

    def _listener(self, round_id: str, options: Mapping[str, Any]) -> Listener:
        async def listen(kind: Literal["report", "end"], step: Mapping[str, Any]) -> None:
            if kind == "end" and step.get("killed"):
                async with self.database.read() as session:
                    starts = (await session.get_one(Round, round_id)).starts
                await self._again(round_id, starts, options)
                return
            values = ending(await _adopt(self.data, step, self.register)) if kind == "end" else columns(step)
            if values:
                await self._change(round_id, **values)

        return listen

    async def _submit(self, round_id: str, options: Mapping[str, Any]) -> None:
        async with self.database.read() as session:
            row = await session.get_one(Round, round_id)
        ticket = Ticket("round", f"Round {round_id}", row.by, BACKGROUND if row.reason else PERSON)
        try:
            args = {"data": str(self.data), "round_id": round_id, "options": dict(options)}
            await self.jobs.submit(FUNCTION, args, listener=self._listener(round_id, options), ticket=ticket)
        except Exception as error:
            await self._change(round_id, state="failed", detail=str(error)[:MAX_TEXT], finished=utc_now())
            raise

    async def _change(self, round_id: str, **values: Any) -> None:
        async with self.database.write() as session:
            await session.execute(update(Round).where(Round.id == round_id).values(**values))
        self.notifier.emit("round")


async def _newest_jobs(session: AsyncSession) -> dict[str, Job]:
    """Return the last job of each round, by its id."""
    rows = await session.scalars(select(Job).where(Job.function == FUNCTION).order_by(Job.created, Job.id))
    return {row.args.get("round_id", ""): row for row in rows}


async def start(
    database: Database,
    jobs: Jobs,
    notifier: Notifier,
    data: Path,
    by: str,
    options: Mapping[str, Any],
    register: Register,
    reason: str = "",
) -> str:
    """Start a round in the background and return its id. Raises RoundBusyError, JobError."""
    return await Rounds(database, jobs, notifier, data, register).start(by, options, reason)


async def cancel(database: Database, jobs: Jobs, round_id: str) -> bool:
    """Stop a round that waits or runs; False where it is over."""
    async with database.read() as session:
        query = select(Job).where(Job.function == FUNCTION, Job.state.in_(LIVE))
        rows = await session.scalars(query)
        found = next((job.id for job in rows if job.args.get("round_id") == round_id), None)
    return found is not None and await jobs.cancel(found)


def idle(folder: Path, wait_s: float = 10.0) -> bool:
    """Say whether no process works on the round in `folder`; one that is just ending is waited for."""
    path = folder / LOCK
    deadline = time.monotonic() + wait_s
    while path.exists():
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
        time.sleep(0.1)
    return True
