"""What the rules would delete now: frames by age, then by size, labels and entries of the audit log by age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select
from sqlalchemy.orm import Session

from central.store.models import AuditEntry, Frame
from central.store.retention import Rule
from central.store.retention.holds import Holds
from central.store.retention.rules import Rules, sites

PAGE: Final = 2000
"""Rows read at a time."""
FIRST_TO_GO: Final = {"skipped": 0, "pending": 1, "labelled": 2}
"""Where a site has too many bytes: labels cost people's time, so what has some goes last."""
_COLUMNS: Final = (
    Frame.id, Frame.node, Frame.camera, Frame.site, Frame.state, Frame.size_bytes, Frame.sha256, Frame.blob,
)  # fmt: skip
STATES: Final = (("pending", "unlabelled"), ("labelled", "labelled"), ("skipped", "skipped"))
_SINCE: Final = func.coalesce(Frame.labelled_at, Frame.received_at)


@dataclass
class CameraPart:
    """What would go of one camera."""

    frames: int = 0
    bytes: int = 0
    labels: int = 0
    """Frames that stay, without what was answered."""
    by: dict[str, int] = field(default_factory=dict)
    """Frames by what makes them go."""


@dataclass
class Preview:
    """What would go, by (site, node, camera); how many frames stay in spite of the rules, by reason; audit entries."""

    cameras: dict[tuple[str, str, str], CameraPart] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    kept_bytes: int = 0
    audit: int = 0

    @property
    def frames(self) -> int:
        """Frames in all."""
        return sum(part.frames for part in self.cameras.values())

    @property
    def bytes(self) -> int:
        """Bytes of their images."""
        return sum(part.bytes for part in self.cameras.values())


def _days(rule: Rule, kind: str) -> int | None:
    days: int | None = getattr(rule, f"{kind}_days")
    return days


def old(rule: Rule, now: datetime) -> ColumnElement[bool] | None:
    """Return the condition for frames that are too old by `rule`; None where it has none."""
    parts = []
    for state, kind in STATES:
        days = _days(rule, kind)
        if days is not None:
            since = Frame.received_at if state == "pending" else _SINCE
            parts.append(and_(Frame.state == state, since < now - timedelta(days=days)))
    return or_(*parts) if parts else None


def why(rule: Rule, state: str) -> str:
    """Return the reason, for a record, that a frame of `state` is too old."""
    kind = dict(STATES)[state]
    return f"{kind} {_days(rule, kind)} days"


def _pages(session: Session, query: Any, column: Any) -> Iterator[Row[Any]]:
    """Yield rows of `query`, a page at a time, each page a statement of its own."""
    last = None
    while True:
        page = query if last is None else query.where(column > last)
        rows = session.execute(page.order_by(column).limit(PAGE)).all()
        yield from rows
        if len(rows) < PAGE:
            return
        last = rows[-1][0]


def by_age(session: Session, site: str, rule: Rule, now: datetime, after: str = "") -> Iterator[Row[Any]]:
    """Yield frames of `site` after the id `after` that are too old, held or not, in order of id."""
    condition = old(rule, now)
    if condition is not None:
        query = select(*_COLUMNS).where(Frame.site == site, condition, Frame.id > after)
        yield from _pages(session, query, Frame.id)


def stored(session: Session, site: str) -> int:
    """Return the bytes of all images of `site`."""
    return int(session.scalar(select(func.sum(Frame.size_bytes)).where(Frame.site == site)) or 0)


def by_size(
    session: Session, site: str, excess: int, holds: Holds, seen: set[str]
) -> Iterator[tuple[Any, str | None]]:
    """Yield frames of `site`, the first to go first, with the reason that keeps them, until those without one have
    `excess` bytes; those in `seen` are passed over."""
    rank = case(FIRST_TO_GO, value=Frame.state, else_=1)
    query = select(*_COLUMNS).where(Frame.site == site).order_by(rank, Frame.received_at, Frame.id)
    if excess <= 0:
        return
    for row in session.execute(query.execution_options(yield_per=PAGE)):
        if row.id in seen:
            continue
        reason = holds.why(row)
        yield row, reason
        excess -= 0 if reason else row.size_bytes
        if excess <= 0:
            return


def answered(session: Session, site: str, rule: Rule, now: datetime, after: str = "") -> Iterator[Row[Any]]:
    """Yield frames of `site` after `after` whose last answer is too old."""
    if rule.labels_days is not None:
        before = now - timedelta(days=rule.labels_days)
        query = select(*_COLUMNS).where(Frame.site == site, Frame.labelled_at < before, Frame.id > after)
        yield from _pages(session, query, Frame.id)


def entries(rule: Rule, now: datetime) -> ColumnElement[bool] | None:
    """Return the condition for entries of the audit log that are too old; None where all are kept."""
    return None if rule.audit_days is None else AuditEntry.at < now - timedelta(days=rule.audit_days)


def _count(found: Preview, row: Row[Any], reason: str | None, kind: str) -> None:
    if reason is not None:
        found.kept[reason] = found.kept.get(reason, 0) + 1
        found.kept_bytes += row.size_bytes
        return
    part = found.cameras.setdefault((row.site, row.node, row.camera), CameraPart())
    part.frames += 1
    part.bytes += row.size_bytes
    part.by[kind] = part.by.get(kind, 0) + 1


def preview(
    session: Session, rules: Rules, now: datetime, only: Sequence[str] | None = None, audit: bool = True
) -> Preview:
    """Return what a run would delete now, at the sites `only` where they are given, and of the audit log where `audit`.

    Deletes nothing.
    """
    holds, found = Holds(), Preview()
    holds.read(session)
    for site in sites(session) if only is None else only:
        rule, seen, gone = rules.at(site), set[str](), set[str]()
        if rule.empty:
            continue
        left = stored(session, site)
        for row in by_age(session, site, rule, now):
            reason = holds.why(row)
            _count(found, row, reason, dict(STATES)[row.state])
            seen.add(row.id)
            if reason is None:
                gone.add(row.id)
                left -= row.size_bytes
        if rule.size_bytes is not None:
            for row, reason in by_size(session, site, left - rule.size_bytes, holds, seen):
                _count(found, row, reason, "size")
                gone |= set() if reason else {row.id}
        for row in answered(session, site, rule, now):
            if row.id not in gone and holds.why(row) is None:
                found.cameras.setdefault((row.site, row.node, row.camera), CameraPart()).labels += 1
    old_entries = entries(rules.every, now) if audit else None
    if old_entries is not None:
        found.audit = int(session.scalar(select(func.count()).select_from(AuditEntry).where(old_entries)) or 0)
    return found
