"""A run of the rules: what is due goes, in small batches, and the run is sealed. One at a time, in one process.

Killed anywhere, the next run goes on: images whose tombstone is there are taken away first, then the run that was not
sealed is gone on with under its number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from central.store.blobs import BlobError, Blobs
from central.store.database import Database
from central.store.models import AuditEntry, Deletion, DeletionRun, Frame, Setting
from central.store.retention import Rule, away, due, record
from central.store.retention.holds import Holds
from central.store.retention.rules import Rules, load, sites
from protocols.messages import utc_now

log = structlog.get_logger("central.retention")

BATCH: Final = 100
"""Frames of one transaction: a part of a second, so that nobody waits for it."""
PAUSE_S: Final = 0.2
"""Between two batches."""
FIRST_S: Final = 300.0
"""After the start, before the first run: a wrong rule can still be taken back, and nodes come back first."""
CENTRE: Final = "retention"
"""Who deletes where nobody asked for it."""
LAST: Final = "retention.last"
"""Key of when the rules were looked at last, and what came of it."""

T = TypeVar("T")


@dataclass
class Done:
    """What a run did: its number (None where there was nothing to delete), and counts."""

    number: int | None = None
    frames: int = 0
    bytes: int = 0
    labels: int = 0
    audit: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    hash: str = ""


class Runner:
    """Runs the rules of one centre. `settings` is the rule of the settings; `clock` tells the time."""

    def __init__(
        self, database: Database, blobs: Blobs, data: Path, settings: Rule, clock: Callable[[], datetime] = utc_now,
        pause_s: float = PAUSE_S, batch: int = BATCH,
    ) -> None:  # fmt: skip
        self._database, self._blobs, self._data, self._settings = database, blobs, data, settings
        self._clock, self._pause_s, self._batch = clock, pause_s, batch

    async def run(self, by: str = CENTRE) -> Done:
        """Delete what is due now, and seal the run. Raises BlobError, SQLAlchemyError, RetentionError, OSError; what is
        left is done by the next run."""
        now, done, holds = self._clock(), Done(), Holds()
        await self._erase()
        rules, names = await self._database.run_read(lambda s: (load(s, self._settings), sites(s)))
        await self._database.run_read(holds.read)
        for site in names:
            if not rules.at(site).empty:
                await self._site(site, rules, now, by, holds, done)
        await self._audit(rules, now, by, done)
        await self._seal(done)
        await self._note(now, done)
        return done

    # --- what is due ---------------------------------------------------------------------------------------------

    async def _site(self, site: str, rules: Rules, now: datetime, by: str, holds: Holds, done: Done) -> None:
        rule = rules.at(site)

        def old(session: Session) -> tuple[dict[str, str], dict[str, int], set[str]]:
            go: dict[str, str] = {}
            kept: dict[str, int] = {}
            seen: set[str] = set()
            for row in due.by_age(session, site, rule, now):
                reason = holds.why(row)
                seen.add(row.id)
                if reason is None:
                    go[row.id] = due.why(rule, row.state)
                else:
                    kept[reason] = kept.get(reason, 0) + 1
            return go, kept, seen

        go, kept, seen = await self._database.run_read(old)
        _add(done.kept, kept)
        await self._frames(go, rules, by, holds, done)
        if rule.size_bytes is not None:
            limit = rule.size_bytes

            def large(session: Session) -> tuple[dict[str, str], dict[str, int]]:
                excess, out, stay = due.stored(session, site) - limit, {}, dict[str, int]()
                for row, reason in due.by_size(session, site, excess, holds, seen):
                    if reason is None:
                        out[row.id] = f"size {limit} bytes"
                    else:
                        stay[reason] = stay.get(reason, 0) + 1
                return out, stay

            over, kept = await self._database.run_read(large)
            _add(done.kept, kept)
            await self._frames(over, rules, by, holds, done)
        await self._labels(site, rules, now, by, holds, done)

    async def _frames(self, go: dict[str, str], rules: Rules, by: str, holds: Holds, done: Done) -> None:
        """Delete the frames `go`, by id with the reason, unless something keeps them by now."""
        ids = list(go)

        def work(session: Session, part: Sequence[str]) -> int:
            away.wipe(session)
            holds.read(session, part)
            rows = [f for f in session.scalars(select(Frame).where(Frame.id.in_(part))) if _still(f, go, holds)]
            if not rows:
                return 0
            done.number = _open(session, rules, by, self._clock())
            made = away.frames(session, done.number, rows, go)
            done.bytes += sum(row.size_bytes for row in made)
            return len(made)

        for part in _parts(ids, self._batch):
            done.frames += await self._write(work, part)
            await self._erase()
            await asyncio.sleep(self._pause_s)

    async def _labels(self, site: str, rules: Rules, now: datetime, by: str, holds: Holds, done: Done) -> None:
        rule = rules.at(site)
        ids = await self._database.run_read(
            lambda s: [row.id for row in due.answered(s, site, rule, now) if holds.why(row) is None]
        )

        def work(session: Session, part: Sequence[str]) -> int:
            away.wipe(session)
            holds.read(session, part)
            query = select(Frame).where(Frame.id.in_(part), Frame.labelled_at.is_not(None))
            found = session.scalars(query.options(selectinload(Frame.annotations)))
            rows = [frame for frame in found if holds.why(frame) is None]
            if not rows:
                return 0
            done.number = _open(session, rules, by, self._clock())
            return len(away.labels(session, done.number, rows, f"labels {rule.labels_days} days"))

        for part in _parts(ids, self._batch):
            done.labels += await self._write(work, part)
            await asyncio.sleep(self._pause_s)

    async def _audit(self, rules: Rules, now: datetime, by: str, done: Done) -> None:
        condition = due.entries(rules.every, now)
        if condition is None:
            return

        def work(session: Session, part: Sequence[str]) -> int:
            away.wipe(session)
            rows = session.scalars(select(AuditEntry).where(condition).order_by(AuditEntry.id).limit(self._batch)).all()
            if not rows:
                return 0
            done.number = _open(session, rules, by, self._clock())
            return len(away.audit(session, done.number, rows, f"audit {rules.every.audit_days} days"))

        while count := await self._write(work, ()):
            done.audit += count
            await asyncio.sleep(self._pause_s)

    async def _write(self, work: Callable[[Session, Sequence[str]], int], part: Sequence[str]) -> int:
        return await self._database.run_write(lambda session: work(session, part))

    # --- what follows a commit -----------------------------------------------------------------------------------

    async def _erase(self) -> None:
        """Take away the images of every tombstone that still has one, and their copies."""

        def left(session: Session) -> list[Deletion]:
            query = select(Deletion).where(Deletion.erased.is_(False)).order_by(Deletion.id)
            return list(session.scalars(query.limit(self._batch)))

        while rows := await self._database.run_read(left):
            await away.images(self._blobs, [row.blob for row in rows if row.blob])
            ids = {row.item for row in rows}
            for path in await asyncio.to_thread(away.copies, self._data, ids):
                path.unlink(missing_ok=True)
            numbers = [row.id for row in rows]
            await self._database.run_write(lambda session, numbers=numbers: _erased(session, numbers))  # type: ignore[misc]

    async def _seal(self, done: Done) -> None:
        key = await asyncio.to_thread(record.signer, self._data)

        def work(session: Session) -> DeletionRun | None:
            unsealed = select(DeletionRun.number).where(DeletionRun.hash == "").limit(1)
            number = session.scalar(unsealed.with_for_update())
            if number is None:
                return None
            row = session.get_one(DeletionRun, number)
            row.kept = dict(done.kept)
            sealed = record.seal(session, number, key, self._clock())
            target = f"/retention/runs/{number} {sealed.items} items, {sealed.hash}"
            session.add(AuditEntry(by=sealed.by, action="retention_run", target=target, status=200))
            return sealed

        sealed = await self._database.run_write(work)
        if sealed is not None:
            done.number, done.hash = sealed.number, sealed.hash
            log.info(
                "deleted what the rules say", run=sealed.number, items=sealed.items, bytes=sealed.bytes, kept=done.kept
            )

    async def _note(self, now: datetime, done: Done) -> None:
        value = {"at": now.isoformat(), "run": done.number, "frames": done.frames, "labels": done.labels,
                 "audit": done.audit, "bytes": done.bytes, "kept": done.kept}  # fmt: skip

        def work(session: Session) -> None:
            row = session.get(Setting, LAST) or Setting(key=LAST)
            row.value, row.updated = value, now
            session.add(row)

        await self._database.run_write(work)


def _parts(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    return [ids[i : i + size] for i in range(0, len(ids), size)]


def _add(into: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def _still(frame: Frame, go: dict[str, str], holds: Holds) -> bool:
    """Whether the reason that `frame` goes for still holds: not where it was answered or held meanwhile."""
    kind = go[frame.id].split()[0]
    as_then = kind == "size" or kind == dict(due.STATES)[frame.state]
    return as_then and holds.why(frame) is None


def _open(session: Session, rules: Rules, by: str, now: datetime) -> int:
    """Return the number of the run that is not sealed; it is made where there is none."""
    held = session.scalar(select(DeletionRun.number).where(DeletionRun.hash == "").limit(1).with_for_update())
    if held is not None:
        return int(held)
    number = int(session.scalar(select(func.max(DeletionRun.number))) or 0) + 1
    session.add(DeletionRun(number=number, started=now, by=by, rules=rules.plain()))
    session.flush()
    return number


def _erased(session: Session, numbers: Sequence[int]) -> None:
    session.execute(update(Deletion).where(Deletion.id.in_(numbers)).values(erased=True))


async def keep(runner: Runner, every_h: float) -> None:
    """Run again and again: soon after the start, then every `every_h` hours, until cancelled; 0: never."""
    if not every_h:
        await asyncio.Event().wait()
        return
    await asyncio.sleep(FIRST_S)
    while True:
        try:
            await runner.run()
        except (SQLAlchemyError, BlobError, OSError, ValueError) as error:
            log.warning("a run of the retention rules was cut short; going on later", reason=str(error)[:300])
        await asyncio.sleep(every_h * 3600)
