"""What Prometheus is told, what logs say, and whether the two conventions are kept."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy import text

from central import logs
from central.api.metrics import Traffic
from central.ingest.consumer import RECEIPT_S, IngestCounters
from central.store.models import Job
from central.store.retention import Rule
from central.store.retention.run import Runner
from protocols.messages import utc_now
from tests.central.api.conftest import JPEG, World

UNITS = ("_seconds", "_bytes", "_celsius", "_total", "_info", "_fps", "_frames", "_items", "_nodes", "_jobs")
WITHOUT = {
    "wayside_nodes", "wayside_node_online", "wayside_camera_watching", "wayside_jobs", "wayside_jobs_unfinished",
    "wayside_rounds", "wayside_rounds_failed", "wayside_rounds_running", "wayside_servers", "wayside_duty_held",
    "wayside_frames_stored", "wayside_labels_confirmed", "wayside_database_up", "wayside_broker_connected",
}  # fmt: skip
"""Counts of things and switches: they have no unit."""


async def scraped(world: World) -> str:
    async with world.client("viewer") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def samples(page: str) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


async def full(world: World) -> str:
    """Return the metrics of a centre where everything has happened."""
    await world.add_frame(1, received_at=utc_now() - timedelta(days=40))
    await world.add_frame(2)
    await world.add_frame(3, state="labelled")
    async with world.centre.database.write() as session:
        session.add(Job(id="j1", function="f", state="queued", kind="round"))
    data = world.centre.settings.data
    await Runner(world.centre.database, world.centre.blobs, data, Rule(unlabelled_days=30), pause_s=0.0).run()
    counters = IngestCounters(frames=3, bytes=66)
    counters.acknowledged(0.03, 3)
    told = Traffic([{"frames": 1, "receipt_waits": counters.receipt_waits}, vars(counters)], {"received": 9})
    world.fleet.traffic = lambda: told  # type: ignore[attr-defined]
    async with world.client("viewer") as client:
        await client.get("/storage")
        await client.get("/no/such/thing")
    return await scraped(world)


def asked(page: str, **labels: str) -> float:
    every = samples(page).get("wayside_http_requests_total", [])
    return sum(s.value for s in every if all(s.labels.get(k) == v for k, v in labels.items()))


async def test_metrics__count_requests_by_route(world: World) -> None:
    before = await scraped(world)
    after = await full(world)
    for labels in ({"route": "/storage", "status": "200"}, {"route": "/{path:path}", "status": "404"}):
        assert asked(after, **labels) - asked(before, **labels) == 1


async def test_metrics__say_what_is_so(world: World) -> None:
    found = samples(await full(world))

    def value(name: str, **labels: str) -> float:
        return next(s.value for s in found[f"wayside_{name}"] if all(s.labels.get(k) == v for k, v in labels.items()))

    assert [value("frames_stored", state=s) for s in ("pending", "labelled", "all")] == [1, 1, 2]
    assert value("frames_received_total") == 3 and value("queue_frames") == 1
    assert value("retention_deleted_items_total", kind="frame") == 1 and value("retention_unerased_items") == 0
    assert value("camera_stored_bytes", camera="c1") == 2 * len(JPEG)
    assert value("jobs", kind="round", state="queued") == 1 and value("jobs_unfinished") == 1
    assert value("ingest_frames_total") == 4 and value("broker_received_total") == 9
    assert value("receipt_seconds_bucket", le="0.025") == 0 and value("receipt_seconds_bucket", le="0.05") == 6
    assert value("receipt_seconds_bucket", le="+Inf") == value("receipt_seconds_count") == 6
    assert value("database_up") == 1 and value("database_size_bytes") > 1000
    assert value("nodes", state="online") == 1 and value("broker_connected") == 1


async def test_metrics__keep_the_conventions(world: World) -> None:
    page = await full(world)
    for family in text_string_to_metric_families(page):
        assert family.documentation, family.name
        if not family.name.startswith("wayside_"):
            continue
        for sample in family.samples:
            name = re.sub(r"_(bucket|count|sum)$", "", sample.name) if family.type == "histogram" else sample.name
            assert name in WITHOUT or name.endswith(UNITS), name
            assert (family.type == "counter") == name.endswith("_total"), name


async def test_metrics__promtool_has_nothing_to_say(world: World) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed; it is in Debian's package prometheus")
    page = await full(world)
    done = await asyncio.to_thread(
        subprocess.run, [tool, "check", "metrics"], input=page.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_metrics__without_a_database_the_rest_is_told(world: World) -> None:
    async with world.centre.database.write() as session:
        await session.execute(text("DROP TABLE job"))
    found = samples(await scraped(world))
    assert found["wayside_database_up"][0].value == 0 and "wayside_http_requests_total" in found


def test_counters__receipts_go_to_their_bucket() -> None:
    counters = IngestCounters()
    for seconds in (0.001, RECEIPT_S[0], 99.0):
        counters.acknowledged(seconds, 2)
    assert (counters.receipts, counters.receipt_waits[0], counters.receipt_waits[-1]) == (6, 4, 2)


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 65, False)])
async def test_requests__have_an_id(world: World, given: str, kept: bool) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://centre") as client:
        answer = await client.get("/api/v1/health", headers={"X-Request-Id": given})
    found = answer.headers["X-Request-Id"]
    assert (found == given) is kept and re.fullmatch(r"[\w.-]{1,64}", found)


@pytest.fixture
def restored() -> Iterator[None]:
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_logs__json_is_one_object_a_line(restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json")
    with structlog.contextvars.bound_contextvars(request="r1"):
        structlog.get_logger("x").info("stored", frames=3)
        try:
            raise ValueError("no\nway")
        except ValueError:
            structlog.get_logger("x").exception("failed")
        logging.getLogger("library").warning("old %s", "thing")
    one, two, three = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (one["message"], one["frames"], one["request"], one["level"]) == ("stored", 3, "r1", "info")
    assert "ValueError" in two["exception"] and two["level"] == "error"
    assert (three["message"], three["logger"], three["request"]) == ("old thing", "library", "r1")


def test_logs__text_is_for_people(restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text")
    structlog.get_logger("x").warning("stored", frames=3)
    assert "stored" in capsys.readouterr().err
