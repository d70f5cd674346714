"""Logging in: passwords, sessions, roles, and what a foreign page cannot do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from central.api import passwords
from central.api.access import GATE_S, MAX_FAILURES, MAX_SESSIONS, LoginGate, open_session
from central.commands.serve import make_server
from central.settings import Settings
from central.store import database, migrations
from central.store.models import Session, User
from protocols.messages import utc_now

World = Any
PASSWORD = "correct horse battery"


async def test_log_in__token_and_cookie(world: World) -> None:
    async with world.client() as client:
        answer = await client.post("/session", json={"name": "admin", "password": PASSWORD})
        assert answer.status_code == 200
        assert answer.json()["role"] == "admin"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
        assert (await client.get("/session")).json() == {"name": "admin", "role": "admin", "sites": {}}


async def test_log_in__token_is_kept_only_as_hash(world: World) -> None:
    async with world.client() as client:
        token = (await client.post("/session", json={"name": "admin", "password": PASSWORD})).json()["token"]
    async with world.centre.database.read() as session:
        kept = set(await session.scalars(select(Session.token_sha256)))
        users = list(await session.scalars(select(User.password)))
    assert token not in kept
    assert all(u.startswith("$argon2id$") for u in users)


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody-there", PASSWORD), ("admin", ""), ("' OR 1=1 --", "x")]
)
async def test_log_in__wrong(world: World, name: str, password: str) -> None:
    async with world.client() as client:
        answer = await client.post("/session", json={"name": name, "password": password})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "wrong_password"


async def test_log_in__too_many_failures(world: World) -> None:
    async with world.client() as client:
        for _ in range(MAX_FAILURES):
            await client.post("/session", json={"name": "admin", "password": "wrong"})
        answer = await client.post("/session", json={"name": "admin", "password": PASSWORD})
        other = await client.post("/session", json={"name": "viewer", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) <= GATE_S
    assert "try again in" in answer.json()["error"]["message"]
    assert other.status_code == 200


async def test_log_in__guesses_that_come_at_once_are_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def guess(client: Any) -> int:
        return int((await client.post("/session", json={"name": "admin", "password": "wrong"})).status_code)

    async with world.client() as client:
        answers = await asyncio.gather(*(guess(client) for _ in range(20)))
        assert sorted(answers) == [401] * MAX_FAILURES + [429] * 15
        monkeypatch.setattr(LoginGate, "attempt", LoginGate.wait)  # the twin: to ask, and to count only afterwards
        world.centre.gate = LoginGate()
        answers = await asyncio.gather(*(guess(client) for _ in range(8)))
        assert answers.count(401) > MAX_FAILURES


@pytest.mark.parametrize(("proxies", "apart"), [("", False), ("127.0.0.1", True), ("192.0.2.9", False)])
async def test_log_in__whose_failures_count_together(world: World, proxies: str, apart: bool) -> None:
    """Behind a proxy that is believed, whoever guesses shuts out nobody else; no other claim is believed."""
    world.centre.settings = Settings(data=world.centre.settings.data, behind_tls=True, proxies=proxies)
    config = make_server(world.centre).config
    config.load()
    transport = httpx.ASGITransport(config.loaded_app)
    async with world.app.router.lifespan_context(config.app), httpx.AsyncClient(transport=transport) as client:
        answers = []
        for number in range(MAX_FAILURES + 1):
            body = {"name": "admin", "password": "wrong"}
            claim = {"X-Forwarded-For": f"198.51.100.{number}"}
            answers.append((await client.post("http://c/api/v1/session", json=body, headers=claim)).status_code)
    assert (429 in answers) != apart


async def test_log_in__right_ones_count_for_nothing(world: World) -> None:
    async with world.client() as client:
        for _ in range(MAX_FAILURES + 2):
            answer = await client.post("/session", json={"name": "viewer", "password": PASSWORD})
            assert answer.status_code == 200


async def test_password__guessed_by_a_stolen_session_no_oftener(world: World) -> None:
    async with world.client("viewer") as client:
        body = {"old": "wrong", "new": "another long one"}
        answers = [(await client.put("/session/password", json=body)).status_code for _ in range(MAX_FAILURES + 1)]
    assert answers == [403] * MAX_FAILURES + [429]


def test_gate__opens_after_a_while() -> None:
    now = 0.0
    gate = LoginGate(lambda: now)
    for _ in range(MAX_FAILURES):
        gate.failed("a", "1.2.3.4")
    assert gate.wait("a", "1.2.3.4") == GATE_S
    now = GATE_S + 1
    assert gate.wait("a", "1.2.3.4") == 0.0


@pytest.mark.parametrize(("header", "status"), [({}, 403), ({"X-Wayside": "1"}, 204), ({"X-Wayside": "0"}, 403)])
async def test_csrf__cookie_needs_header(world: World, header: dict[str, str], status: int) -> None:
    async with world.client() as client:
        await client.post("/session", json={"name": "admin", "password": PASSWORD})
        answer = await client.delete("/session", headers=header)
    assert answer.status_code == status


async def test_csrf__bearer_needs_none(world: World) -> None:
    async with world.client("admin") as client:
        assert (await client.delete("/session")).status_code == 204
        assert (await client.get("/session")).status_code == 401


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)])
async def test_csrf__log_in_from_another_site(world: World, site: str, status: int) -> None:
    async with world.client(**{"Sec-Fetch-Site": site}) as client:
        answer = await client.post("/session", json={"name": "admin", "password": PASSWORD})
    assert answer.status_code == status


async def test_session__ends_with_its_time(world: World) -> None:
    async with world.centre.database.write() as session:
        await session.execute(update(Session).values(expires=utc_now() - timedelta(seconds=1)))
    async with world.client("admin") as client:
        assert (await client.get("/session")).status_code == 401


async def test_session__of_a_disabled_user(world: World) -> None:
    async with world.centre.database.write() as session:
        await session.execute(update(User).values(disabled=True))
    async with world.client("admin") as client:
        assert (await client.get("/session")).status_code == 401
        answer = await client.post("/session", json={"name": "admin", "password": PASSWORD})
    assert answer.status_code == 401


async def test_session__oldest_gives_way(world: World) -> None:
    for _ in range(MAX_SESSIONS + 3):
        async with world.centre.database.write() as session:
            await open_session(session, "viewer", 1.0)
    async with world.centre.database.read() as session:
        kept = list(await session.scalars(select(Session).where(Session.user == "viewer")))
    assert len(kept) == MAX_SESSIONS


async def test_password__changed(world: World) -> None:
    async with world.client("viewer") as client:
        body = {"old": PASSWORD, "new": "another long one"}
        other = (await client.post("/session", json={"name": "viewer", "password": PASSWORD})).json()["token"]
        client.cookies.clear()
        assert (await client.put("/session/password", json=body)).status_code == 204
        assert (await client.get("/session")).status_code == 200
        ended = await client.get("/session", headers={"Authorization": f"Bearer {other}"})
        assert ended.status_code == 401
        again = await client.post("/session", json={"name": "viewer", "password": "another long one"})
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [("wrong", "another long one", 403), (PASSWORD, "short", 422), (PASSWORD, "x" * 500, 422)],
)
async def test_password__refused(world: World, old: str, new: str, status: int) -> None:
    async with world.client("viewer") as client:
        answer = await client.put("/session/password", json={"old": old, "new": new})
    assert answer.status_code == status
    assert new not in answer.text


async def test_first_admin__once(tmp_path: Any) -> None:
    db = database.connect(f"sqlite:///{tmp_path / 'x.db'}")
    await migrations.migrate(db.engine)
    first, second = await passwords.first_admin(db), await passwords.first_admin(db)
    async with db.read() as session:
        user = await session.get(User, "admin")
    assert first is not None and second is None
    assert user is not None and user.role == "admin"
    assert await passwords.matches(user, first)
    await db.close()


FRAME = "00000001-0000-7000-8000-000000000000"
ROUTES = [
    ("GET", "/overview", None, "viewer"),
    ("GET", "/queue", None, "viewer"),
    ("GET", "/profile", None, "viewer"),
    ("PUT", f"/frames/{FRAME}/labels", {"revision": 0, "boxes": []}, "annotator"),
    ("POST", f"/frames/{FRAME}/skip", {"revision": 0}, "annotator"),
    ("POST", "/nodes/n1/command", {"action": "pause"}, "engineer"),
    ("POST", "/rounds", {}, "engineer"),
    ("POST", "/releases", {"pack": "0" * 64}, "engineer"),
]
ROLES = ("viewer", "annotator", "engineer", "admin")


@pytest.mark.parametrize(("method", "path", "body", "needs"), ROUTES)
@pytest.mark.parametrize("role", ROLES[:3])
async def test_roles__matrix(world: World, method: str, path: str, body: Any, needs: str, role: str) -> None:
    if path == "/rounds" and ROLES.index(role) >= ROLES.index(needs):
        pytest.skip("starts a process; see test_rounds")
    async with world.client(role) as client:
        answer = await client.request(method, path, json=body)
    assert (answer.status_code == 403) == (ROLES.index(role) < ROLES.index(needs))
