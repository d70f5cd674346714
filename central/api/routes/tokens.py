"""Ways in for programs."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Path
from sqlalchemy import select

from central.api import programs
from central.api import schemas as s
from central.api.access import Viewer, least
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.store.models import ApiToken

router = APIRouter(prefix="/tokens", tags=["people"])


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
    """Make a token, which is shown this once. It may do what its person may, and `role` at most. A token makes none:
    whoever steals one has it until it ends, and no longer."""
    if person.program:
        raise ApiError(403, "forbidden", "a token makes no tokens; log in with the password")
    highest = max((person.role, *person.sites.values()), key=s.ROLES.index)
    async with centre.database.write() as session:
        try:
            row, token = await programs.add(session, person.name, body.name, least(body.role, highest), body.days)
        except programs.ProgramError as error:
            raise ApiError(409, "too_many", str(error)) from None
        return s.TokenCreated(**_view(row).model_dump(), token=token)


@router.delete("/{number}", status_code=204, responses=documented(401, 403, 404))
async def delete_token(number: Annotated[int, Path(ge=1, le=2**31)], person: Viewer, centre: CentreDep) -> None:
    """End a token, at once. An admin may end anybody's."""
    async with centre.database.write() as session:
        row = await session.get(ApiToken, number)
        if row is None or (row.user != person.name and person.role != "admin"):
            raise not_found(f"token {number}")
        await session.delete(row)
