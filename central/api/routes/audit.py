"""Who changed what, and who tried to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select

from central.api import schemas as s
from central.api.access import Admin
from central.api.context import CentreDep
from central.api.errors import ApiError, documented
from central.store.models import AuditEntry

router = APIRouter(prefix="/audit", tags=["people"])


@router.get("", responses=documented(401, 403, 422))
async def audit(
    _: Admin, centre: CentreDep, by: Annotated[str | None, Query(max_length=64)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50,
) -> s.AuditPage:  # fmt: skip
    """The newest entries first. What was answered about frames is in the history of each frame instead."""
    if cursor is not None and not cursor.isdigit():
        raise ApiError(422, "bad_cursor", "cursor: take it from `next` of the page before")
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit + 1)
    query = query if by is None else query.where(AuditEntry.by == by)
    query = query if action is None else query.where(AuditEntry.action == action)
    query = query if cursor is None else query.where(AuditEntry.id < min(int(cursor), 2**62))
    async with centre.database.read() as session:
        rows = list(await session.scalars(query))
    shown = [
        s.AuditView(
            id=r.id, at=r.at, by=r.by, action=r.action, target=r.target, status=r.status, address=r.address
        )
        for r in rows[:limit]
    ]  # fmt: skip
    return s.AuditPage(items=shown, next=str(shown[-1].id) if len(rows) > limit else None)
