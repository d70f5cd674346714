"""What a figure of ingest says of itself."""

from __future__ import annotations

import pytest

from benchmarks.ingest import limit, possible


@pytest.mark.parametrize(
    ("busy", "others", "busiest", "said"),
    [
        (1.95, 0.0, {"ingest": 0.9}, "the machine's 2 cores"),
        (0.6, 1.3, {"ingest": 0.4}, "the machine's 2 cores, of which others had 1.3"),
        (1.2, 0.0, {"ingest": 0.99, "broker": 0.1}, "one process of ingest"),
        (0.5, 0.0, {"ingest": 0.3}, "waiting: for syncs of the disk, locks and receipts"),
    ],
)
def test_limit__is_named(busy: float, others: float, busiest: dict[str, float], said: str) -> None:
    assert limit(2, busy, others, busiest) == said


@pytest.mark.parametrize(
    ("cpu_us", "cores", "ratio"),
    [
        ({"nodes": 10, "broker": 10, "ingest": 400, "database": 30}, 8, 2.0),
        ({"nodes": 10, "broker": 10, "ingest": 400, "database": 380}, 2, 1.0),
        ({"nodes": 10, "broker": 300, "ingest": 400, "database": 10}, 8, 400 / 300),
    ],
    ids=["cores enough", "two cores are full with one", "the broker is one process"],
)
def test_possible__by_what_a_frame_costs(cpu_us: dict[str, float], cores: int, ratio: float) -> None:
    assert possible(cpu_us, cores) == pytest.approx(ratio)
