"""Sizes of machines, computed from measured costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sizing import FULL, SIZES, Costs, Demand, memory_gb, nearest, row, table, used

DOCS = Path(__file__).parents[2] / "docs" / "sizing.md"
FREE = Costs(**dict.fromkeys(Costs.__dataclass_fields__, 0.0) | {"batch_frames": 1.0})


def test_demand__counts_nodes_frames_and_health() -> None:
    demand = Demand(cameras=1001, frames_per_hour=60, days=10)
    assert demand.nodes == 251
    assert demand.frames_per_s == pytest.approx(251 / 60)
    assert demand.health_per_s == pytest.approx(251 / 30)
    assert demand.stored == pytest.approx(251 / 60 * 86_400 * 10)


@pytest.mark.parametrize(
    ("cost", "value", "part"),
    [
        ("frame_broker_us", 1e4, "broker"),
        ("health_broker_us", 1e4, "broker"),
        ("frame_ingest_us", 1e4, "ingest"),
        ("health_centre_us", 1e4, "presence"),
        ("frame_database_us", 1e4, "database"),
        ("index_bytes", 1e4, "search"),
        ("image_bytes", 1e6, "network"),
    ],
)
def test_nearest__names_the_part_whose_cost_is_high(cost: str, value: float, part: str) -> None:
    demand, costs = Demand(10_000, 60, 30), replace(FREE, **{cost: value})
    assert nearest(used(demand, costs), memory_gb(demand, costs))[0][0] == part


def test_row__twice_the_cameras_need_twice_of_what_grows() -> None:
    one, two = (used(Demand(count, 60, 30), Costs()) for count in (40_000, 80_000))
    for name in ("broker", "presence", "ingest", "database", "network"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name))


def test_row__as_many_of_each_as_are_full_to_the_planned_share() -> None:
    costs = replace(FREE, frame_ingest_us=1e6 * FULL)
    demand = Demand(400, 3600, 1)
    assert row(demand, costs)["ingest_processes"] == 100  # a hundred frames a second, each one process's second


def test_table__the_smallest_needs_one_of_each() -> None:
    first: dict[str, Any] = table(SIZES, 60, 30)[0]
    assert [first[name] for name in ("brokers", "servers", "ingest_processes", "database_cores")] == [1, 1, 1, 1]


def test_docs__have_the_table_that_the_figures_give() -> None:
    from benchmarks.sizing import markdown

    assert markdown(table(SIZES, 60, 30)) in DOCS.read_text()
