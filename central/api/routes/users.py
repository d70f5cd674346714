"""People and what they may do, here and at each site."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Path
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api import passwords
from central.api import schemas as s
from central.api.access import Admin
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.store.models import ApiToken, Session, SiteRole, User

router = APIRouter(prefix="/users", tags=["people"])
Name = Annotated[str, Path(max_length=64)]


async def _view(session: AsyncSession, user: User) -> s.UserView:
    rows = await session.scalars(select(SiteRole).where(SiteRole.user == user.name).order_by(SiteRole.site))
    sites = {row.site: cast(s.Role, row.role) for row in rows}
    role = cast(s.Role, user.role)
    return s.UserView(name=user.name, role=role, sites=sites, disabled=user.disabled, created=user.created)


async def _set_sites(session: AsyncSession, name: str, sites: dict[str, s.Role]) -> None:
    await session.execute(delete(SiteRole).where(SiteRole.user == name))
    session.add_all(SiteRole(user=name, site=site, role=role) for site, role in sites.items())
    await session.flush()


@router.get("", responses=documented(401, 403))
async def users(_: Admin, centre: CentreDep) -> list[s.UserView]:
    """Everybody who may log in, and those who may no more."""
    async with centre.database.read() as session:
        return [await _view(session, user) for user in await session.scalars(select(User).order_by(User.name))]


@router.post("", status_code=201, responses=documented(401, 403, 409, 422))
async def add_user(body: s.UserBody, _: Admin, centre: CentreDep) -> s.UserCreated:
    """Let somebody in, with a password that is shown this once."""
    try:
        passwords.check_name(body.name)
    except passwords.UserError as error:
        raise ApiError(422, "bad_name", str(error)) from None
    password = passwords.one_time()
    hashed = await passwords.hash_password(password)
    async with centre.database.write() as session:
        if await session.get(User, body.name) is not None:
            raise ApiError(409, "exists", f"{body.name} is there already; change the role, or choose another name")
        await passwords.add(session, body.name, body.role, hashed)
        await _set_sites(session, body.name, body.sites)
        view = await _view(session, await session.get_one(User, body.name))
    return s.UserCreated(**view.model_dump(), password=password)


@router.patch("/{name}", responses=documented(401, 403, 404, 409, 422))
async def change_user(name: Name, body: s.UserChange, _: Admin, centre: CentreDep) -> s.UserView:
    """Change what somebody may do, or shut them out: their sessions and tokens end at once.

    The last admin stays one.
    """
    async with centre.database.write() as session:
        user = await session.get(User, name)
        if user is None:
            raise not_found(f"user {name}")
        user.role = body.role or user.role
        user.disabled = user.disabled if body.disabled is None else body.disabled
        await session.flush()
        admins = select(func.count()).select_from(User).where(User.role == "admin", User.disabled.is_(False))
        if not await session.scalar(admins):
            raise ApiError(409, "last_admin", f"{name} is the last admin; make somebody else one first")
        if body.sites is not None:
            await _set_sites(session, name, body.sites)
        if user.disabled:
            for table in (Session, ApiToken):
                await session.execute(delete(table).where(table.user == name))
        return await _view(session, user)
