"""Logging in and out."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request, Response

from central.api import passwords
from central.api import schemas as s
from central.api.access import COOKIE, Viewer, open_session
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented
from central.store.models import Session, User

router = APIRouter(prefix="/session", tags=["session"])


async def _admit(centre: Centre, name: str, address: str) -> None:
    held = centre.gate.attempt(name, address)
    if held <= 0 and centre.ledger is not None:
        held = await centre.ledger.attempt(name, address)
    wait = math.ceil(held)
    if wait > 0:
        raise ApiError(
            429, "too_many", f"too many wrong passwords; try again in {wait} s", headers={"Retry-After": str(wait)}
        )


async def _passed(centre: Centre, name: str, address: str) -> None:
    centre.gate.passed(name, address)
    if centre.ledger is not None:
        await centre.ledger.passed(name, address)


@router.post("", responses=documented(401, 422, 429))
async def log_in(body: s.Login, request: Request, response: Response, centre: CentreDep) -> s.SessionToken:
    """Start a session: sets the cookie `wayside_session` and returns the same token for `Authorization: Bearer`."""
    address = request.client.host if request.client else ""
    request.state.person = body.name
    await _admit(centre, body.name, address)
    async with centre.database.read() as reading:
        user = await reading.get(User, body.name)
    if not await passwords.matches(user, body.password.get_secret_value()) or user is None:
        raise ApiError(401, "wrong_password", "name or password is wrong")
    await _passed(centre, body.name, address)
    hours = centre.settings.session_hours
    async with centre.database.write() as session:
        token = await open_session(session, user.name, hours)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(hours * 3600),
        path="/",
        httponly=True,
        samesite="strict",
        secure=centre.settings.behind_tls,
    )
    return s.SessionToken.model_validate({"name": user.name, "role": user.role, "token": token})


@router.get("", responses=documented(401))
async def who_am_i(person: Viewer) -> s.SessionView:
    """Say who is logged in."""
    return s.SessionView(name=person.name, role=person.role, sites=dict(person.sites))


@router.delete("", status_code=204, responses=documented(401, 403))
async def log_out(person: Viewer, response: Response, centre: CentreDep) -> None:
    """End the session."""
    async with centre.database.write() as session:
        row = await session.get(Session, person.token_sha256)
        if row is not None:
            await session.delete(row)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=centre.settings.behind_tls)


@router.put("/password", status_code=204, responses=documented(401, 403, 422, 429))
async def change_password(body: s.PasswordChange, request: Request, person: Viewer, centre: CentreDep) -> None:
    """Choose a new password; every other session of this person ends."""
    address = request.client.host if request.client else ""
    await _admit(centre, person.name, address)
    async with centre.database.read() as reading:
        user = await reading.get(User, person.name)
    if not await passwords.matches(user, body.old.get_secret_value()):
        raise ApiError(403, "wrong_password", "the old password is wrong")
    await _passed(centre, person.name, address)
    try:
        new = passwords.check_password(body.new.get_secret_value(), person.name)
    except passwords.UserError as error:
        raise ApiError(422, "bad_password", str(error)) from None
    hashed = await passwords.hash_password(new)
    async with centre.database.write() as session:
        await passwords.set_password(session, person.name, hashed, keep_session=person.token_sha256)
