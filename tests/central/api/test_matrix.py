"""Who may do what: every operation of the API's own description, for everybody, here and at other sites (P20).

An operation that changes something and is not in `NEEDS` fails the test; one that only reads needs a login. What a
request does is not looked at, only whether it is let in: bodies are empty, and are refused after the person is.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import pytest
from sqlalchemy import delete, select

from central.api.access import Person, open_session, whoever
from central.api.app import PREFIX
from central.jobs import JobError
from central.store.models import AuditEntry, SiteRole
from tests.central.api.conftest import ROLES, World, frame_id

NOBODY: Final = "nobody"
EVERYBODY: Final = (NOBODY, *ROLES)
SAFE: Final = ("get", "head", "options")
NEEDS: Final = {
    "session_log_in": NOBODY, "health_health": NOBODY, "health_ready": NOBODY, "health_metrics": NOBODY,
    "session_log_out": "viewer", "session_change_password": "viewer",
    "people_make_token": "viewer", "people_delete_token": "viewer",
    "queue_next_frame": "annotator", "queue_answer": "annotator", "queue_take": "annotator",
    "queue_give_up": "annotator", "queue_keep": "annotator", "queue_forget": "annotator", "queue_flag": "annotator",
    "queue_unflag": "annotator", "queue_moved": "annotator", "frames_label": "annotator", "frames_skip": "annotator",
    "pairs_pairs": "annotator", "pairs_answer": "annotator",
    "nodes_command": "engineer", "agreement_adjudication": "engineer", "agreement_adjudicate": "engineer",
    "profile_change": "engineer", "data sets_take": "engineer", "rounds_start": "engineer",
    "jobs_start_backlog": "engineer",
    "jobs_log": "engineer", "jobs_cancel": "engineer", "jobs_retry": "engineer",
    "rounds_cancel": "engineer", "packs_override": "engineer", "releases_release": "engineer",
    "rollouts_plan_rollout": "engineer", "rollouts_preview_rollout": "engineer", "rollouts_start_rollout": "engineer",
    "rollouts_pause_rollout": "engineer", "rollouts_resume_rollout": "engineer", "rollouts_abort_rollout": "engineer",
    "rollouts_rollback_rollout": "engineer", "policies_set_policy": "engineer",
    "people_users": "admin", "people_add_user": "admin", "people_change_user": "admin", "people_audit": "admin",
    "retention_kept": "admin", "retention_preview": "admin", "retention_set_rule": "admin",
    "retention_drop_rule": "admin", "retention_holds": "admin", "retention_hold": "admin",
    "retention_release": "admin", "retention_runs": "admin", "retention_exported": "admin",
    "people_webhooks": "admin", "people_add_webhook": "admin", "people_delete_webhook": "admin",
}  # fmt: skip
"""The least role; what reads and is not here needs ``viewer``."""
LAST: Final = ("session_log_out",)
"""Done after all others."""
GIVEN: Final = {"frame": frame_id(1), "node": "n1", "camera": "c1", "name": "viewer", "side": "left"}
UNENDING: Final = "/events"
WAIT_S: Final = 2.0
"""After which an answer that does not end counts as one."""


def operations(world: World) -> list[tuple[str, str, str]]:
    """Return name, method and path of every operation, its parameters filled in."""
    found = []
    for path, methods in world.app.openapi()["paths"].items():
        plain = re.sub(r"{(\w+)}", lambda part: GIVEN.get(part[1], "1"), path).removeprefix(PREFIX)
        found += [(about["operationId"], method, plain) for method, about in methods.items()]
    return sorted(found, key=lambda one: one[0] in LAST)


def needs(name: str, method: str) -> str:
    """Return the least role for an operation; none that anybody has where nobody said."""
    return NEEDS.get(name, "viewer" if method in SAFE else "nobody said: add it to NEEDS")


async def status(client: Any, method: str, path: str) -> int:
    """Return what a request with an empty body is answered."""
    body: dict[str, Any] = {"json": {}} if method not in ("get", "delete") else {}
    try:
        async with asyncio.timeout(WAIT_S if path == UNENDING else None):
            answer = await client.request(method.upper(), path, **body)
    except TimeoutError:
        return 200
    return int(answer.status_code)


async def wrong(world: World, role: str) -> list[str]:
    """Return the operations that let `role` in, or keep it out, against `NEEDS`."""
    found = []
    async with world.client(None if role == NOBODY else role) as client:
        for name, method, path in operations(world):
            least = needs(name, method)
            got = await status(client, method, path)
            let_in = got not in (401, 403)
            may = least in EVERYBODY and EVERYBODY.index(role) >= EVERYBODY.index(least)
            shut_out = (got == 401) == (role == NOBODY)
            if let_in != may or not (let_in or shut_out) or (got >= 500 and got != 503):
                found.append(f"{name}: {role} is answered {got}; it needs {least}")
    return found


@pytest.fixture
async def filled(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A centre with a frame, where no round starts."""

    async def refuse(*_: object) -> str:
        raise JobError("not here")

    monkeypatch.setattr("central.jobs.rounds.start", refuse)
    await world.add_frame()
    return world


@pytest.mark.parametrize("role", EVERYBODY)
async def test_operations__let_in_who_may_and_nobody_else(filled: World, role: str) -> None:
    assert await wrong(filled, role) == []


def test_needs__names_only_what_there_is(world: World) -> None:
    assert NEEDS.keys() - {name for name, _, _ in operations(world)} == set()


async def test_operations__one_that_was_forgotten_is_found(filled: World) -> None:
    async def forgotten() -> None:
        """Anybody may."""

    async def open_to_all() -> None:
        """Anybody may look."""

    filled.app.openapi_schema = None
    filled.app.add_api_route(f"{PREFIX}/forgotten", forgotten, methods=["POST"])
    filled.app.add_api_route(f"{PREFIX}/open", open_to_all, methods=["GET"])
    routes = filled.app.router.routes
    routes[:0] = [routes.pop(), routes.pop()]  # before the page of the UI
    found = await wrong(filled, NOBODY)
    assert len(found) == 2 and "nobody said" in " ".join(found), found


async def test_operations__a_role_that_counts_for_nothing_is_found(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def anybody(request: Any, centre: Any) -> Person | None:
        found = await whoever(request, centre)
        return found and Person(found.name, "admin", found.token_sha256)

    monkeypatch.setattr("central.api.access.whoever", anybody)
    assert len(await wrong(filled, "viewer")) > 20


async def at_site(world: World, everywhere: str, site: str, role: str) -> list[str]:
    """Return what changes a frame at ``north`` and lets in somebody with these roles."""
    async with world.centre.database.write() as session:
        await session.execute(delete(SiteRole))
        session.add(SiteRole(user=everywhere, site=site, role=role))
        token = await open_session(session, everywhere, 1.0)
    let_in = []
    async with world.client(Authorization=f"Bearer {token}") as client:
        for name, method, path in operations(world):
            if method not in SAFE and GIVEN["frame"] in path and await status(client, method, path) != 403:
                let_in.append(name)
    return let_in


async def test_operations__about_a_frame_ask_for_the_role_at_its_site(filled: World) -> None:
    changing = {n for n, m, p in operations(filled) if m not in SAFE and GIVEN["frame"] in p}
    assert len(changing) > 8
    assert await at_site(filled, "viewer", "south", "admin") == []
    assert await at_site(filled, "annotator", "north", "viewer") == []
    assert set(await at_site(filled, "viewer", "north", "annotator")) == changing - {"agreement_adjudicate"}


async def test_audit__no_operation_changes_what_was_written(filled: World) -> None:
    async with filled.client("viewer") as client:
        assert await status(client, "post", "/users") == 403

    async def entries() -> list[dict[str, Any]]:
        async with filled.centre.database.read() as session:
            rows = await session.scalars(select(AuditEntry).order_by(AuditEntry.id))
            return [{c.name: getattr(r, c.name) for c in AuditEntry.__table__.columns} for r in rows]

    before = await entries()
    async with filled.client("admin") as client:
        for _, method, path in operations(filled):
            await status(client, method, path)
        for method in ("post", "put", "patch", "delete"):
            assert await status(client, method, "/audit") in (401, 405)
            assert await status(client, method, "/audit/1") in (401, 404, 405)
    after = await entries()
    assert after[: len(before)] == before and len(after) > len(before) + 20
