"""The queue of jobs: rows of the database, in the order of their priority, so many of a kind at a time.

    submit -> row (queued) -> claim, within the limits -> a process (`child`) -> reports -> row -> listener
    killed, or the network failed -> back-off -> queued, as often as the ticket says -> failed, with the reason
    the server stopped -> `recover`: what runs on a cluster is followed again, what may begin anew does

Several servers may share a database. Each begins and follows what was submitted to it; what belongs to one that counts
its rows up no more is taken over. A listener is only known where a job was submitted: after a restart, and elsewhere,
`followers` has one by the name of the function.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import structlog
from sqlalchemy import select, update

from central.jobs import CHORE, CLUSTER_LIMITS, LIMITS, JobError, Listener, Ticket, child, rows
from central.jobs.child import LOG_TAIL, Child
from central.jobs.worker import PACKAGE
from central.store.database import Database
from central.store.models import Job
from protocols.messages import utc_now

_log = structlog.get_logger(__name__)
TICK_S: Final = 2.0
"""Seconds between two looks at what others changed: a command beside the server, another server."""
BEAT_S: Final = 10.0
"""Seconds between two signs that this server looks after its jobs."""
STALE_S: Final = 45.0
"""Without a sign for so long, a server's jobs are taken over."""
LOG_S: Final = 2.0
LIVE_TAIL: Final = 16 * 1024
"""Bytes of a log that are stored while its job runs: each time anew."""
Follower = Callable[[str, Mapping[str, Any]], Listener]
"""From a job's id and arguments to its listener."""


@dataclass
class _Running:
    child: Child
    task: asyncio.Task[None]
    cancelled: bool = False
    leaving: bool = False
    """This server stops, or lost the job to another one: nobody is told of its end."""


@dataclass
class _Known:
    """What is known here alone: listeners and secrets of what was submitted here, and others' last signs."""

    listeners: dict[str, Listener] = field(default_factory=dict)
    secrets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    beats: dict[str, tuple[int, float]] = field(default_factory=dict)


class JobQueue:
    """Jobs of one server. `folder` is where the logs go."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        cluster: str = "",
        server: str = "",
        vault: Mapping[str, Any] = MappingProxyType({}),
        changed: Callable[[], None] = lambda: None,
        cpus: int = 1,
    ) -> None:
        """`cluster`: address of a Ray cluster, ``ray://HOST:PORT``; empty: processes of this machine. `server`: which
        one of several this is. `vault`: arguments that are written nowhere and known to every server, by name.
        `changed` is called when there is something new to show; `cpus`: cores of a cluster that a round takes."""
        self._database, self._folder, self._cluster, self._server = database, folder, cluster, server
        self._vault, self._changed, self._cpus = vault, changed, cpus
        self._limits = CLUSTER_LIMITS if cluster else LIMITS
        self._known, self._running = _Known(), dict[str, _Running]()
        self._turn, self._soon = asyncio.Lock(), set[asyncio.Task[None]]()
        self._closed = False
        self.followers: dict[str, Follower] = {}

    def _env(self) -> dict[str, str]:
        """Return the settings that a job finds in its environment on another machine: where everything is kept."""
        named = {"WAYSIDE_DATABASE_URL": "database_url", "WAYSIDE_BLOB_URL": "blob_url"}
        return {variable: str(self._vault[name]) for variable, name in named.items() if self._vault.get(name)}

    @property
    def cluster(self) -> str:
        """Address of the Ray cluster; empty where there is none."""
        return self._cluster

    @property
    def limits(self) -> Mapping[Any, int]:
        """Jobs of each kind that may run at a time."""
        return self._limits

    async def recover(self) -> None:
        """Put in order what this server left running when it stopped. Nothing is begun by it: see `run`."""
        async with self._database.write() as session:
            mine = select(Job).where(Job.state == "running", Job.server.in_((self._server, "")))
            for row in await session.scalars(mine):
                await rows.put_back(session, row, self._server, utc_now())

    async def submit(
        self,
        function: str,
        args: Mapping[str, Any],
        listener: Listener | None = None,
        secrets: Mapping[str, Any] | None = None,
        ticket: Ticket = CHORE,
    ) -> str:
        """Queue a job; see `central.jobs.Jobs`."""
        if not function.startswith(PACKAGE):
            raise JobError(f"{function!r} is not one of our functions")
        job = str(uuid.uuid4())
        if listener is not None:
            self._known.listeners[job] = listener
        self._known.secrets[job] = dict(secrets or {})
        async with self._database.write() as session:
            session.add(
                Job(
                    id=job, function=function, args=dict(args), state="queued", kind=ticket.kind, title=ticket.title,
                    by=ticket.by, priority=ticket.priority, max_attempts=ticket.attempts, server=self._server,
                    needs=sorted(secrets or {}),
                )
            )  # fmt: skip
        self._changed()
        await self.begin()
        return job

    async def begin(self) -> None:
        """Begin what may begin."""
        async with self._turn:
            while not self._closed:
                async with self._database.write() as session:
                    row = await rows.claim(session, self._server, self._limits, utc_now(), self._cluster)
                if row is None:
                    return
                await self._start(row)

    async def _start(self, row: Job) -> None:
        if row.id not in self._known.listeners and row.function in self.followers:
            self._known.listeners[row.id] = self.followers[row.function](row.id, row.args)
        given = {**self._vault, **self._known.secrets.get(row.id, {})}
        missing = [name for name in row.needs if name not in given]
        if missing:
            why = f"{missing[0]} is kept nowhere; start it anew"
            self._spawn(self._end(row.id, {"state": "failed", "detail": why}))
            return
        args = {**row.args, **{name: given[name] for name in row.needs}}
        request: dict[str, Any] = {"function": row.function, "args": args}
        if row.place:
            request |= {"cluster": row.place, "job": row.id, "kind": row.kind, "env": self._env()}
            workers = row.args.get("options", {}).get("workers", 1)  # those take the cores then
            request["cpus"] = self._cpus if workers == 1 else 0
        try:
            started = await child.start(self._folder / f"{row.id}.log", request)
        except OSError as error:
            self._spawn(self._end(row.id, {"state": "failed", "detail": f"no process: {error.strerror}"}))
            return
        task = asyncio.create_task(self._follow(row.id, started), name=f"job {row.id}")
        self._running[row.id] = _Running(started, task)
        self._changed()

    async def _follow(self, job: str, started: Child) -> None:
        answer: Mapping[str, Any] = {}
        over = asyncio.Event()
        tail = asyncio.create_task(self._keep_log(job, started, over), name=f"log of job {job}")
        async for message in started.messages():
            if "report" in message:
                await self._report(job, message["report"])
            else:
                answer = message
        status = await started.process.wait()
        over.set()  # not cancelled: it may be in the middle of a transaction
        await tail
        running = self._running[job]
        if not running.leaving:
            await self._write(job, log=await asyncio.to_thread(started.tail, LOG_TAIL))
            await self._over(job, answer, status, running.cancelled)
        if self._running.get(job) is running:  # else it was begun again meanwhile
            del self._running[job]
        self._kick()

    async def _keep_log(self, job: str, started: Child, over: asyncio.Event) -> None:
        kept = ""
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), LOG_S)
            text = await asyncio.to_thread(started.tail, LIVE_TAIL)
            if text != kept:
                kept = text
                await self._write(job, log=text)

    async def _report(self, job: str, step: Mapping[str, Any]) -> None:
        columns: dict[str, Any] = {}
        if isinstance(step.get("progress"), (int, float)):
            columns["progress"] = min(1.0, max(0.0, float(step["progress"])))
        if isinstance(step.get("detail"), str):
            columns["detail"] = step["detail"]
        if columns:
            await self._write(job, **columns)
            self._changed()
        await _tell(self._known.listeners.get(job), "report", step)

    async def _over(self, job: str, answer: Mapping[str, Any], status: int, cancelled: bool) -> None:
        if cancelled:
            await self._end(job, {"state": "cancelled", "detail": "cancelled"})
            return
        if "result" in answer:
            await self._end(job, {"state": "done", "progress": 1.0, "result": answer["result"]})
            return
        killed = bool(answer.get("lost")) or ("error" not in answer and status == -signal.SIGKILL)
        why = answer.get("error") or f"its process ended with status {status}"
        if (killed or answer.get("transient")) and await self._later(job, why):
            return
        await self._end(job, {"state": "failed", "detail": why}, killed=killed)

    async def _later(self, job: str, why: str) -> bool:
        """Queue a job again that failed by no fault of its own; False where it was tried often enough."""
        async with self._database.write() as session:
            row = await session.get_one(Job, job)
            if row.attempts >= row.max_attempts:
                return False
            wait = rows.backoff(row.attempts)
            row.state, row.not_before = "queued", utc_now() + wait
            row.detail = f"attempt {row.attempts} of {row.max_attempts} failed, and is repeated: {why}"
        _log.warning("a job is tried again", job=job, reason=why[:300], wait_s=round(wait.total_seconds(), 1))
        asyncio.get_running_loop().call_later(wait.total_seconds(), self._kick)
        self._changed()
        return True

    async def _end(self, job: str, end: Mapping[str, Any], killed: bool = False) -> None:
        await self._write(job, **end, finished=utc_now(), cancel=False)
        self._known.secrets.pop(job, None)
        self._changed()
        told = {**end, "killed": True} if killed else end
        await _tell(self._known.listeners.pop(job, None), "end", told)

    def _kick(self) -> None:
        """Begin what may begin, soon."""
        if not self._closed:
            self._spawn(self.begin())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside: what it tells a listener may have that submit another job."""
        task = asyncio.get_running_loop().create_task(work)
        self._soon.add(task)
        task.add_done_callback(self._soon.discard)

    async def cancel(self, job: str) -> bool:
        """Take a job out of the queue, or stop it; where another server follows it, that one is asked to."""
        running = self._running.get(job)
        if running is not None:
            running.cancelled = True
            await running.child.stop(running.task)
            return True
        async with self._database.write() as session:
            stopped = await rows.stop(session, job, utc_now())
        if stopped:
            await self._tell_ended()
            self._changed()
        return stopped

    async def retry(self, job: str) -> bool:
        """Queue a job that failed or was cancelled once more."""
        async with self._database.write() as session:
            queued = await rows.again(session, job, self._server)
        if queued:
            self._changed()
            await self.begin()
        return queued

    async def run(self) -> None:
        """See to the queue for ever."""
        beaten = float("-inf")
        while True:
            if time.monotonic() - beaten >= BEAT_S:
                beaten = time.monotonic()
                await self._beat()
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def _beat(self) -> None:
        async with self._database.read() as session:
            mine = select(Job.id).where(Job.state.in_(rows.LIVE), Job.server == self._server)
            any_of_mine = await session.scalar(mine.limit(1))
        if any_of_mine is not None:
            async with self._database.write() as session:
                await session.execute(update(Job).where(Job.id.in_(mine)).values(beat=Job.beat + 1))

    async def tick(self) -> None:
        """Look once at what others changed, and begin what may begin."""
        async with self._database.read() as session:
            columns = (Job.id, Job.state, Job.server, Job.beat, Job.cancel)
            query = select(*columns).where(Job.state.in_(rows.LIVE))
            active = {row.id: row for row in await session.execute(query)}
        for job, running in list(self._running.items()):
            row = active.get(job)
            if row is None or row.server != self._server:
                if running.child.process.returncode is not None:
                    continue  # it is over, and is just being told
                running.leaving = True  # another server thought that this one was gone
                running.child.signal(signal.SIGKILL)
            elif row.cancel:
                running.cancelled = True
                await running.child.stop(running.task)
        await self._adopt({job: row for job, row in active.items() if row.server not in (self._server, "")})
        if self._known.listeners.keys() - active.keys():
            await self._tell_ended()
        if any(row.state == "queued" for row in active.values()):
            await self.begin()

    async def _adopt(self, others: Mapping[str, Any]) -> None:
        """Take over what belongs to a server that gave no sign for STALE_S by this one's clock."""
        now, seen = time.monotonic(), self._known.beats
        self._known.beats = {
            job: seen[job] if job in seen and seen[job][0] == row.beat else (row.beat, now)
            for job, row in others.items()
        }
        for job, (beat, since) in self._known.beats.items():
            if now - since < STALE_S:
                continue
            async with self._database.write() as session:
                row = await session.get_one(Job, job)
                if row.beat != beat or row.state in rows.OVER:
                    continue
                _log.warning("a job of a server that is gone is taken over", job=job, server=row.server)
                if row.state == "running":
                    await rows.put_back(session, row, self._server, utc_now())
                row.server, row.beat = self._server, beat + 1

    async def _tell_ended(self) -> None:
        """Tell the listeners of what was ended by somebody else."""
        waiting = [job for job in self._known.listeners if job not in self._running]
        async with self._database.read() as session:
            ended = list(await session.scalars(select(Job).where(Job.id.in_(waiting), Job.state.in_(rows.OVER))))
        for row in ended:
            self._known.secrets.pop(row.id, None)
            await _tell(self._known.listeners.pop(row.id, None), "end", {"state": row.state, "detail": row.detail})

    async def close(self) -> None:
        """Stop what runs here; what runs on a cluster goes on. `recover` knows what to do with both."""
        self._closed = True
        for running in self._running.values():
            running.leaving = True
        while self._soon:  # not cancelled: each may be in the middle of a transaction
            await asyncio.wait(list(self._soon))
        await asyncio.gather(*(self._leave(job, r) for job, r in list(self._running.items())))

    async def _leave(self, job: str, running: _Running) -> None:
        async with self._database.read() as session:
            place = await session.scalar(select(Job.place).where(Job.id == job))
        if place:
            running.child.signal(signal.SIGKILL)
            await asyncio.wait({running.task})
            return
        await running.child.stop(running.task)
        async with self._database.write() as session:
            row = await session.get_one(Job, job)
            row.attempts = max(0, row.attempts - (row.max_attempts > 1))  # it was not its fault
            await rows.put_back(session, row, self._server, utc_now())

    async def log(self, job: str) -> str:
        """Return the last LOG_TAIL bytes of what the job printed."""
        async with self._database.read() as session:
            kept = await session.scalar(select(Job.log).where(Job.id == job))
        if kept is None:
            raise JobError(f"no job {job[:80]!r}")
        running = self._running.get(job)
        return kept if running is None else await asyncio.to_thread(running.child.tail, LOG_TAIL)

    async def _write(self, job: str, **columns: Any) -> None:
        mine = (Job.id == job, Job.server == self._server)
        async with self._database.write() as session:
            await session.execute(update(Job).where(*mine).values(**columns))


async def _tell(listener: Listener | None, kind: Literal["report", "end"], step: Mapping[str, Any]) -> None:
    if listener is None:
        return
    # Not ours: what a listener raises must not lose the job's end.
    try:
        await listener(kind, step)
    except Exception as error:  # noqa: BLE001 - see above
        _log.error("a job's listener failed", exc_info=error)
