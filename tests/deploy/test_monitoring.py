"""Dashboard, scrape configuration and alerts name only metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from central.api import metrics
from central.api.app import PREFIX, create_app
from central.api.requests import Served
from central.store.models import Camera, Node
from central.store.usage import Camera as Used
from protocols.messages import utc_now

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD: Final = DEPLOY / "grafana" / "wayside.json"
RULES: Final = DEPLOY / "prometheus" / "wayside.rules.yml"
RUNBOOK: Final = DEPLOY.parent / "docs" / "operating.md"
OURS: Final = re.compile(r"\b(?:wayside|process)_[a-z0-9_]+")


def exported() -> dict[str, set[str]]:
    """Return the names of all samples, each with its labels."""
    now = utc_now()
    node = Node(name="n", site="s", state="online", last_seen=now, spool_frames=0, spool_bytes=0, spool_quota_bytes=1,
                temperature_c=1.0, evicted=0)  # fmt: skip
    camera = Camera(node="n", name="c", health={"state": "watching"}, last_frame_at=now)
    rows = metrics.Rows(
        nodes=[(node, camera)], jobs=[("round", "queued", 1)], oldest_job=now, oldest_frame=now, rounds={"done": 1},
        running=0, round_at=now, runs=1, deleted={"frame": (1, 1)}, unerased=0, servers=1, duties=[("fleet", True)],
        size=1, last={"at": now.isoformat(), "kept": {"held": 1}},
    )  # fmt: skip
    served = Served()
    served.by_status["GET", "/x", 200] = 1
    served.times["/x"].add(0.1)
    families = [
        *metrics.fleet(rows), *metrics.work(rows, 0.0), *metrics.storage([Used("s", "n", "c")], rows, (1, 2)),
        *metrics.database(rows), *metrics.traffic(metrics.Traffic(), True), *metrics.http(served),
        *ProcessCollector(registry=CollectorRegistry()).collect(),
    ]  # fmt: skip
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


EXPORTED: Final = exported()


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[tuple[str, str]]:
    shown = [(panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", ())]
    return [*shown, *((rule["alert"], rule["expr"]) for rule in rules())]


def strange(expression: str) -> list[str]:
    """Return what `expression` names and no scrape has: metrics, and labels that they are chosen or grouped by."""
    names = OURS.findall(expression)
    missing = [name for name in names if name not in EXPORTED]
    labels = {"job", "instance", *(label for name in names for label in EXPORTED.get(name, ()))}
    asked = [label for part in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression) for label in part.split(", ")]
    asked += [m for part in re.findall(r"{([^}]*)}", expression) for m in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", part)]
    return missing + [label for label in asked if label and label not in labels]


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_expressions__name_what_there_is(where: str, expression: str) -> None:
    assert OURS.search(expression) or "up{" in expression
    assert strange(expression) == []


@pytest.mark.parametrize(
    "expression", ["max(wayside_nodez)", "sum by (nod) (wayside_node_online)", 'max(wayside_nodes{stat="x"})']
)
def test_strange__finds_what_is_wrong(expression: str) -> None:
    assert strange(expression)


def test_dashboard__panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_dashboard__every_metric_family_of_the_centre_that_matters_is_on_it() -> None:
    shown = {name for panel in panels() for target in panel.get("targets", ()) for name in OURS.findall(target["expr"])}
    for word in ("ingest", "receipt", "broker", "node", "camera", "queue", "jobs", "round", "storage", "retention",
                 "database", "http", "duty"):  # fmt: skip
        assert any(name.startswith(f"wayside_{word}") for name in shown), word


def test_rules__say_how_bad_it_is_and_the_runbook_what_to_do() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in text, rule["alert"]


def test_scrape__asks_where_metrics_are() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    path = config["scrape_configs"][0]["metrics_path"]
    assert path in create_app().openapi()["paths"] and path == f"{PREFIX}/metrics"
    assert [RULES.name] == config["rule_files"]


@pytest.mark.parametrize(
    "words", [("check", "rules", RULES), ("check", "config", "--syntax-only", DEPLOY / "prometheus" / "prometheus.yml")]
)
def test_promtool__has_nothing_to_say(words: tuple[str | Path, ...]) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed; it is in Debian's package prometheus")
    done = subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
