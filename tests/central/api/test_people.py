"""People: roles here and at sites, tokens of programs, the audit log, webhooks, ETags."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from central.api.access import Person, open_session
from central.api.errors import ApiError
from central.api.webhooks import SIGNATURE, HookError, Hooks, check
from central.store.models import ApiToken, SiteRole, Webhook
from protocols.messages import utc_now
from tests.central.api.conftest import World


def test_person__a_role_at_a_site_goes_before_the_one_everywhere() -> None:
    person = Person("ann", "viewer", "", {"harbour": "annotator"})
    assert person.may("annotator", "harbour") and not person.may("annotator", "centre")
    lowered = Person("ben", "annotator", "", {"harbour": "viewer"})
    with pytest.raises(ApiError, match="needs the role annotator at harbour; ben has viewer there"):
        lowered.demand("annotator", "harbour")


async def test_users__are_added_with_a_password_that_works(world: World) -> None:
    async with world.client("admin") as client:
        made = (await client.post("/users", json={"name": "ann", "sites": {"harbour": "engineer"}})).json()
        assert made["role"] == "annotator" and made["sites"] == {"harbour": "engineer"}
        twice = await client.post("/users", json={"name": "ann"})
        assert twice.status_code == 409
    async with world.client() as client:
        login = await client.post("/session", json={"name": "ann", "password": made["password"]})
        assert login.status_code == 200
        who = await client.get("/session", headers={"Authorization": f"Bearer {login.json()['token']}"})
        assert who.json()["sites"] == {"harbour": "engineer"}


async def test_users__shut_out_means_at_once(world: World) -> None:
    async with world.client("viewer") as viewer, world.client("admin") as admin:
        assert (await viewer.get("/session")).status_code == 200
        assert (await admin.patch("/users/viewer", json={"disabled": True})).json()["disabled"]
        assert (await viewer.get("/session")).status_code == 401


async def test_users__the_last_admin_stays(world: World) -> None:
    async with world.client("admin") as admin:
        for change in ({"role": "viewer"}, {"disabled": True}):
            answer = await admin.patch("/users/admin", json=change)
            assert answer.status_code == 409 and answer.json()["error"]["code"] == "last_admin"
        assert (await admin.get("/users")).status_code == 200


@pytest.mark.parametrize("path", ["/users", "/audit", "/webhooks"])
async def test_people__are_the_admins_business(world: World, path: str) -> None:
    async with world.client("engineer") as client:
        assert (await client.get(path)).status_code == 403


async def test_token__may_what_its_person_may_and_its_role_at_most(world: World) -> None:
    async with world.client("engineer") as client:
        made = (await client.post("/tokens", json={"name": "cron", "role": "admin"})).json()
        assert made["role"] == "engineer"
        low = (await client.post("/tokens", json={"name": "wall", "role": "viewer"})).json()
        assert [t["name"] for t in (await client.get("/tokens")).json()] == ["cron", "wall"]
    async with world.client() as anyone:
        bearer = {"Authorization": f"Bearer {low['token']}"}
        who = (await anyone.get("/session", headers=bearer)).json()
        assert (who["name"], who["role"]) == ("engineer", "viewer")
        assert (await anyone.post("/rounds", json={}, headers=bearer)).status_code == 403
        assert (await anyone.get("/session", headers={"Cookie": f"wayside_session={low['token']}"})).status_code == 401


async def test_token__ends_when_deleted_or_old(world: World) -> None:
    async with world.client("annotator") as client, world.client() as anyone:
        made = [(await client.post("/tokens", json={"name": n})).json() for n in ("a", "b")]
        assert (await client.delete(f"/tokens/{made[0]['id']}")).status_code == 204
        async with world.centre.database.write() as session:
            await session.execute(update(ApiToken).values(expires=utc_now() - timedelta(seconds=1)))
        for each in made:
            answer = await anyone.get("/session", headers={"Authorization": f"Bearer {each['token']}"})
            assert answer.status_code == 401


async def test_token__makes_none(world: World) -> None:
    async with world.client("engineer") as client, world.client() as thief:
        stolen = (await client.post("/tokens", json={"name": "cron", "role": "engineer"})).json()["token"]
        answer = await thief.post("/tokens", json={"name": "mine"}, headers={"Authorization": f"Bearer {stolen}"})
    assert answer.status_code == 403 and "log in with the password" in answer.text


async def test_token__of_others_is_not_there(world: World) -> None:
    async with world.client("engineer") as owner, world.client("annotator") as other:
        made = (await owner.post("/tokens", json={"name": "cron"})).json()
        assert (await other.get("/tokens")).json() == []
        assert (await other.delete(f"/tokens/{made['id']}")).status_code == 404


async def test_audit__names_who_did_what_and_who_was_refused(world: World) -> None:
    async with world.client("admin") as admin, world.client("viewer") as viewer:
        await admin.post("/users", json={"name": "ann"})
        await viewer.post("/users", json={"name": "eve"})
        page = (await admin.get("/audit", params={"action": "add_user"})).json()
    entries = [(e["by"], e["action"], e["target"], e["status"]) for e in page["items"]]
    assert entries == [("viewer", "add_user", "/users", 403), ("admin", "add_user", "/users", 201)]


async def test_audit__wrong_passwords_are_noted_without_them(world: World) -> None:
    async with world.client("admin") as admin, world.client() as anyone:
        await anyone.post("/session", json={"name": "admin", "password": "no such password"})
        items = (await admin.get("/audit", params={"by": "admin", "limit": 1})).json()["items"]
    assert items[0]["action"] == "log_in" and items[0]["status"] == 401
    assert "no such password" not in json.dumps(items)


async def test_audit__pages_do_not_overlap(world: World) -> None:
    async with world.client("admin") as admin:
        for number in range(5):
            await admin.post("/tokens", json={"name": f"t{number}"})
        first = (await admin.get("/audit", params={"limit": 3})).json()
        second = (await admin.get("/audit", params={"limit": 3, "cursor": first["next"]})).json()
    assert len(first["items"]) == 3 and len(second["items"]) == 2 and second["next"] is None
    assert not {e["id"] for e in first["items"]} & {e["id"] for e in second["items"]}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://169.254.169.254/latest", "not allowed; allowed: hooks.example, hooks.example:8443"),
        ("http://hooks.example:22/", "hooks.example:22 is not allowed"),
        ("http://hooks.example@evil.example/", "no name or password"),
        ("http://hooks.example.evil.example/", "not allowed"),
        ("ftp://hooks.example/", "give http:// or https://"),
        ("http://[::1]/", "is not allowed"),
        ("http://hooks.example:99999/", "url: "),
    ],
)
def test_check__no_other_host_is_ever_called(url: str, says: str) -> None:
    with pytest.raises(HookError, match=says):
        check(url, "hooks.example, hooks.example:8443")


def test_check__allowed_hosts() -> None:
    for url in ("https://hooks.example/a", "https://HOOKS.example:443/", "https://hooks.example:8443/x"):
        assert check(url, "hooks.example, hooks.example:8443") == url


async def test_webhook__is_refused_where_nobody_allowed_its_host(world: World) -> None:
    async with world.client("admin") as admin:
        answer = await admin.post("/webhooks", json={"url": "http://127.0.0.1/", "kinds": ["round"]})
    assert answer.status_code == 422 and "WAYSIDE_WEBHOOK_HOSTS" in answer.json()["error"]["message"]


async def public(_host: str, _port: int) -> list[str]:
    return ["192.0.2.7"]


async def test_hooks__tell_what_was_asked_for_signed_and_follow_nobody(world: World) -> None:
    got: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(302, headers={"Location": "http://127.0.0.1/secret"})

    async with world.centre.database.write() as session:
        session.add(Webhook(url="http://hooks.example/a", kinds=["round", "label"], secret="s", by="admin"))
        session.add(Webhook(url="http://gone.example/a", kinds=["round"], secret="s", by="admin"))
    await Hooks(world.centre.database, "hooks.example", httpx.MockTransport(answer), public).tell({"round", "node"})
    assert [(str(r.url), r.headers["host"]) for r in got] == [("http://192.0.2.7/a", "hooks.example")]
    body = got[0].content
    assert json.loads(body)["kinds"] == ["round"]
    assert got[0].headers[SIGNATURE] == "sha256=" + hmac.new(b"s", body, hashlib.sha256).hexdigest()
    async with world.client("admin") as admin:
        rows: list[dict[str, Any]] = (await admin.get("/webhooks")).json()
    assert rows[0]["outcome"] == "answered 302"
    assert rows[1]["outcome"].startswith("failed: url: gone.example is not allowed")
    assert "secret" not in rows[0]


async def test_etag__asked_again_for_the_same_is_a_304(world: World) -> None:
    async with world.client("viewer") as client:
        first = await client.get("/profile")
        again = await client.get("/profile", headers={"If-None-Match": first.headers["etag"]})
        other = await client.get("/profile", headers={"If-None-Match": '"something else"'})
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200 and other.json() == first.json()


async def test_site_role__reaches_the_routes_about_the_site(world: World) -> None:
    async with world.centre.database.write() as session:
        session.add(SiteRole(user="viewer", site="north", role="annotator"))
        token = await open_session(session, "viewer", 1.0)
    frame = await world.add_frame()
    body = {"revision": 0, "boxes": [], "complete_for": ["car"]}
    async with world.client() as client:
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await client.put(f"/frames/{frame}/labels", json=body, headers=bearer)).status_code == 200
        async with world.centre.database.write() as session:
            await session.execute(update(SiteRole).values(site="south"))
        refused = await client.put(f"/frames/{frame}/labels", json={**body, "revision": 1}, headers=bearer)
    assert refused.status_code == 403 and "at north" in refused.json()["error"]["message"]
