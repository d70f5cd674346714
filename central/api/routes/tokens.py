"""Ways in for programs."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated, Final, cast

from fastapi import APIRouter, Path
from sqlalchemy import func, select

from central.api import schemas as s
from central.api.access import TOKEN_BYTES, Viewer, digest, least
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.store.models import ApiToken
from protocols.messages import utc_now

router = APIRouter(prefix="/tokens", tags=["people"])
MOST: Final = 50
"""Tokens of one person."""


def _view(row: ApiToken) -> s.TokenView:
    role = cast(s.Role, row.role)
    return s.TokenView(
        id=row.id, name=row.name, user=row.user, role=role, created=row.created, expires=row.expires
    )  # fmt: skip


@router.get("", responses=documented(401))
async def tokens(person: Viewer, centre: CentreDep) -> list[s.TokenView]:
    """One's own tokens; an admin sees everybody's."""
    query = select(ApiToken).order_by(ApiToken.id)
    if person.role != "admin":
        query = query.where(ApiToken.user == person.name)
    async with centre.database.read() as session:
        return [_view(row) for row in await session.scalars(query)]


@router.post("", status_code=201, responses=documented(401, 403, 409, 422))
async def make_token(body: s.TokenBody, person: Viewer, centre: CentreDep) -> s.TokenCreated:
    """Make a token, which is shown this once. It may do what its person may, and `role` at most."""
    token, now = secrets.token_urlsafe(TOKEN_BYTES), utc_now()
    async with centre.database.write() as session:
        held = await session.scalar(select(func.count()).select_from(ApiToken).where(ApiToken.user == person.name))
        if (held or 0) >= MOST:
            raise ApiError(409, "too_many", f"{person.name} has {held} tokens; delete one first")
        highest = max((person.role, *person.sites.values()), key=s.ROLES.index)
        row = ApiToken(
            token_sha256=digest(token), user=person.name, name=body.name, role=least(body.role, highest), created=now,
            expires=now + timedelta(days=body.days),
        )  # fmt: skip
        session.add(row)
        await session.flush()
        return s.TokenCreated(**_view(row).model_dump(), token=token)


@router.delete("/{number}", status_code=204, responses=documented(401, 403, 404))
async def delete_token(number: Annotated[int, Path(ge=1, le=2**31)], person: Viewer, centre: CentreDep) -> None:
    """End a token, at once. An admin may end anybody's."""
    async with centre.database.write() as session:
        row = await session.get(ApiToken, number)
        if row is None or (row.user != person.name and person.role != "admin"):
            raise not_found(f"token {number}")
        await session.delete(row)
