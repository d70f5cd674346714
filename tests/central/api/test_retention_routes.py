"""Rules, previews, holds and records over the API; storage of each camera."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from central.store.models import AuditEntry, RetentionRule
from central.store.retention import Rule, record
from central.store.retention.run import Runner
from protocols.messages import utc_now
from tests.central.api.conftest import JPEG, World

OLD = timedelta(days=40)


async def two(world: World) -> None:
    await world.add_frame(1, received_at=utc_now() - OLD)
    await world.add_frame(2)


async def test_rules__none_at_first(world: World) -> None:
    async with world.client("admin") as client:
        view = (await client.get("/retention")).json()
    assert [rule["site"] for rule in view["rules"]] == ["every-site"]
    assert all(view["rules"][0][name] is None for name in Rule.__struct_fields__) and view["last"] is None


async def test_rules__are_previewed_set_audited_and_taken_back(world: World) -> None:
    await two(world)
    body = {"unlabelled_days": 30}
    async with world.client("admin") as client:
        said = (await client.post("/retention/rules/north/preview", json=body)).json()
        assert (said["frames"], said["bytes"]) == (1, len(JPEG))
        assert [(c["node"], c["camera"], c["by"]) for c in said["cameras"]] == [("n1", "c1", {"unlabelled": 1})]
        assert (await client.get("/retention")).json()["rules"][0]["unlabelled_days"] is None
        made = (await client.put("/retention/rules/north", json=body)).json()
        assert (made["site"], made["unlabelled_days"], made["by"]) == ("north", 30, "admin")
        elsewhere = (await client.post("/retention/rules/every-site/preview", json=body)).json()
        assert elsewhere["frames"] == 0
        assert (await client.delete("/retention/rules/north")).status_code == 204
        assert (await client.delete("/retention/rules/north")).status_code == 404
    async with world.centre.database.read() as session:
        entries = {(e.action, e.by) for e in await session.scalars(select(AuditEntry))}
        assert list(await session.scalars(select(RetentionRule))) == []
    assert {("set_rule", "admin"), ("drop_rule", "admin")} <= entries


@pytest.mark.parametrize(
    ("site", "body", "status"),
    [
        ("north", {"audit_days": 3}, 422),
        ("every-site", {"audit_days": 3}, 200),
        ("north", {"unlabelled_days": 0}, 422),
        ("north", {"size_bytes": 5}, 422),
        ("north", {"frames": 5}, 422),
        ("a b", {}, 422),
    ],
)
async def test_rules__what_is_none_is_refused(world: World, site: str, body: dict[str, Any], status: int) -> None:
    async with world.client("admin") as client:
        assert (await client.put(f"/retention/rules/{site}", json=body)).status_code == status


async def test_holds__keep(world: World) -> None:
    await two(world)
    async with world.client("admin") as client:
        both = {"frame": "a", "camera": "c1", "node": "n1", "reason": "x"}
        for body in ({"reason": "x"}, both, {"camera": "c1", "reason": "x"}):
            assert (await client.post("/retention/holds", json=body)).status_code == 422
        assert (await client.post("/retention/holds", json={"frame": "nope", "reason": "x"})).status_code == 404
        made = await client.post("/retention/holds", json={"node": "n1", "camera": "c1", "reason": "court 7"})
        assert made.status_code == 201
        said = (await client.post("/retention/rules/north/preview", json={"unlabelled_days": 30})).json()
        assert (said["frames"], said["kept"]) == (0, {"camera": 1})
        assert [h["reason"] for h in (await client.get("/retention/holds")).json()] == ["court 7"]
        assert (await client.delete(f"/retention/holds/{made.json()['id']}")).status_code == 204
        said = (await client.post("/retention/rules/north/preview", json={"unlabelled_days": 30})).json()
        assert said["frames"] == 1


async def test_runs__and_their_record(world: World, tmp_path: Path) -> None:
    await two(world)
    data = world.centre.settings.data
    await Runner(world.centre.database, world.centre.blobs, data, Rule(unlabelled_days=30), pause_s=0.0).run()
    async with world.client("admin") as client:
        runs = (await client.get("/retention/runs")).json()
        log = await client.get("/retention/record")
        last = (await client.get("/retention")).json()["last"]
    assert [(run["number"], run["items"]) for run in runs] == [(1, 1)]
    assert (last["frames"], last["run"]) == (1, 1)
    path = tmp_path / "log.jsonl"
    path.write_bytes(log.content)
    checked = record.check(path, [record.public(record.signer(data))])
    assert (checked.items, checked.problems) == (1, ())


async def test_storage__by_camera(world: World) -> None:
    await two(world)
    async with world.client("viewer") as client:
        view = (await client.get("/storage")).json()
        await world.add_frame(3)
        again = (await client.get("/storage")).json()
    assert (view["frames"], view["bytes"]) == (2, 2 * len(JPEG))
    assert view["cameras"][0]["ages"] == {age: {"frames": 1, "bytes": len(JPEG)} for age in ("day", "quarter")}
    assert view["cameras"][0]["proposals"] == 2
    assert again["at"] == view["at"] and again["frames"] == 2
