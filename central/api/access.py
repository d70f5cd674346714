"""Who asks, and what they may do.

    POST /session -> gate (too many failures?) -> argon2 -> random token; its SHA-256 is kept
    request       -> bearer token or cookie -> Person -> role of the route
                     cookie and unsafe method -> header X-Wayside: 1, which no foreign page can send

A route states its role by its parameter: ``person: Annotator``. Roles contain one another in the order of `ROLES`.
A role at a site goes before the role everywhere: a route about one site takes `SiteAnnotator` and asks `demand`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final, cast

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from central.api.context import Centre, CentreDep
from central.api.errors import ApiError
from central.api.schemas import ROLES, Role
from central.store.models import ApiToken, Session, SiteRole, User
from protocols.messages import utc_now

COOKIE: Final = "wayside_session"
CSRF_HEADER: Final = "X-Wayside"
TOKEN_BYTES: Final = 32
MAX_TOKEN: Final = 200
"""Characters of a token that is looked at; ours have 43."""
MAX_SESSIONS: Final = 50
"""Open sessions of one user; the oldest ends when another one starts."""
MAX_FAILURES: Final = 5
"""Wrong passwords for one name from one address before the gate closes."""
MAX_FAILURES_ADDRESS: Final = 30
"""Wrong passwords from one address, whatever the names."""
GATE_S: Final = 300.0
"""Seconds for which a wrong password counts."""
GATE_ENTRIES: Final = 10_000
"""Names and addresses that the gate remembers; the oldest is forgotten first."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Person:
    """Who asks. `token_sha256` names the session; `sites` are the sites where the role is another one; `program` says
    that it is not the person but a token of theirs."""

    name: str
    role: Role
    token_sha256: str
    sites: Mapping[str, Role] = field(default_factory=dict)
    program: bool = False

    def at(self, site: str) -> Role:
        """Return the role at `site`."""
        return self.sites.get(site, self.role)

    def may(self, role: Role, site: str) -> bool:
        """Whether this person has at least `role` at `site`."""
        return ROLES.index(self.at(site)) >= ROLES.index(role)

    def demand(self, role: Role, site: str) -> None:
        """Raise ApiError unless this person has at least `role` at `site`."""
        if not self.may(role, site):
            raise ApiError(
                403, "forbidden", f"this needs the role {role} at {site}; {self.name} has {self.at(site)} there"
            )


class LoginGate:
    """Counts wrong passwords per key and says how long to wait. `clock` returns seconds, never decreasing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, ...], list[float]] = OrderedDict()

    def _recent(self, key: tuple[str, ...]) -> list[float]:
        horizon = self._clock() - GATE_S
        return [at for at in self._failures.get(key, ()) if at > horizon]

    def wait(self, name: str, address: str) -> float:
        """Return the seconds until another attempt is let through; 0 now."""
        for key, limit in (((name, address), MAX_FAILURES), ((address,), MAX_FAILURES_ADDRESS)):
            recent = self._recent(key)
            if len(recent) >= limit:
                return recent[-limit] + GATE_S - self._clock()
        return 0.0

    def attempt(self, name: str, address: str) -> float:
        """Return the seconds until another attempt is let through. An attempt that is let through counts as wrong until
        it `passed`: of a thousand that come at once, no more get an answer than of a thousand in turn."""
        wait = self.wait(name, address)
        if wait <= 0:
            self.failed(name, address)
        return wait

    def failed(self, name: str, address: str) -> None:
        """Note a wrong password."""
        for key in ((name, address), (address,)):
            self._failures[key] = [*self._recent(key), self._clock()][-MAX_FAILURES_ADDRESS:]
            self._failures.move_to_end(key)
        while len(self._failures) > GATE_ENTRIES:
            self._failures.popitem(last=False)

    def passed(self, name: str, address: str) -> None:
        """Forget the wrong passwords of somebody who then knew it, and that this attempt counted."""
        self._failures.pop((name, address), None)
        if self._failures.get((address,)):
            self._failures[(address,)].pop()


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


async def open_session(session: AsyncSession, user: str, hours: float) -> str:
    """Start a session of `user` in the open write transaction and return its token. Ended ones are cleared away."""
    now = utc_now()
    await session.execute(delete(Session).where(Session.expires <= now))
    newest = select(Session.token_sha256).where(Session.user == user).order_by(Session.created.desc())
    surplus = list(await session.scalars(newest.offset(MAX_SESSIONS - 1)))
    if surplus:
        await session.execute(delete(Session).where(Session.token_sha256.in_(surplus)))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.add(Session(token_sha256=digest(token), user=user, expires=now + timedelta(hours=hours)))
    return token


def _token(request: Request) -> tuple[str, bool]:
    """Return the token that came with `request`, and whether it was the browser that added it."""
    scheme, bearer = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() == "bearer" and bearer:
        return bearer[:MAX_TOKEN], False
    return request.cookies.get(COOKIE, "")[:MAX_TOKEN], True


async def whoever(request: Request, centre: Centre) -> Person | None:
    """Return who asks, None where nobody is logged in. Raises ApiError for what a foreign page could have sent."""
    token, by_browser = _token(request)
    if not token:
        return None
    key = digest(token)
    async with centre.database.read() as session:
        found = await _holder(session, key, by_browser)
        rows = () if found is None else await session.scalars(select(SiteRole).where(SiteRole.user == found[0].name))
        own = {row.site: cast(Role, row.role) for row in rows}
    if found is None:
        return None
    user, most, program = found
    if by_browser and request.method not in SAFE and request.headers.get(CSRF_HEADER) != "1":
        raise ApiError(403, "csrf", f"send the header {CSRF_HEADER}: 1 with a request that changes something")
    role = cast(Role, user.role)
    person = Person(user.name, least(role, most), key, {site: least(r, most) for site, r in own.items()}, program)
    request.state.person = person.name
    return person


def least(first: Role, second: Role) -> Role:
    """Return the lower of two roles."""
    return min(first, second, key=ROLES.index)


async def _holder(session: AsyncSession, key: str, by_browser: bool) -> tuple[User, Role, bool] | None:
    """Return whose session or token has the hash `key`, the most that it may do, and whether it is a token; None where
    it counts no more.

    A browser has sessions alone: a program's token in a cookie is nobody's."""
    query = select(Session.expires, User).join(User, User.name == Session.user).where(Session.token_sha256 == key)
    login = (await session.execute(query)).first()
    if login is not None:
        expires, user, most, program = login[0], login[1], "admin", False
    else:
        tokens = select(ApiToken.expires, User, ApiToken.role).join(User, User.name == ApiToken.user)
        token = (await session.execute(tokens.where(ApiToken.token_sha256 == key))).first()
        if token is None or by_browser:
            return None
        expires, user, most, program = *token, True
    return None if expires <= utc_now() or user.disabled else (user, cast(Role, most), program)


def _require(role: Role, somewhere: bool = False) -> Callable[[Request, Centre], Awaitable[Person]]:
    async def check(request: Request, centre: CentreDep) -> Person:
        person = await whoever(request, centre)
        if person is None:
            raise ApiError(
                401, "not_logged_in", "log in first; the session may have ended", headers={"WWW-Authenticate": "Bearer"}
            )
        held = (person.role, *person.sites.values()) if somewhere else (person.role,)
        if max(map(ROLES.index, held)) < ROLES.index(role):
            raise ApiError(403, "forbidden", f"this needs the role {role}; {person.name} has {person.role}")
        return person

    return check


Viewer = Annotated[Person, Depends(_require("viewer"))]
Annotator = Annotated[Person, Depends(_require("annotator"))]
Engineer = Annotated[Person, Depends(_require("engineer"))]
Admin = Annotated[Person, Depends(_require("admin"))]
SiteAnnotator = Annotated[Person, Depends(_require("annotator", somewhere=True))]
"""May annotate at some site, perhaps at all; the route has to ask `demand` about the one that it is about."""
