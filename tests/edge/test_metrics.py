"""Counts, percentiles, health, and the page for Prometheus."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import pytest

from edge.metrics import Exporter, Meter, Sample, percentile, temperature


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, 0.0),
        ([3.0], 0.95, 3.0),
        ([1, 2, 3, 4], 0.5, 2),
        (range(1, 101), 0.95, 95),
        (range(1, 101), 1.0, 100),
        ([2, 1], 0.0, 1),
    ],
)
def test_percentile__nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_meter__rates_are_those_of_the_last_interval() -> None:
    meter = Meter()
    start = meter._last[0]
    for _ in range(20):
        meter.assessed(0.01, 0.5, None)
    meter.tick(start + 2.0)
    assert meter.fps == pytest.approx(10.0)
    meter.tick(start + 4.0)
    assert meter.fps == 0.0


def test_meter__health_in_milliseconds() -> None:
    meter = Meter()
    for i in range(100):
        meter.assessed(i / 1000, None, 0.25)
    health = meter.health("gate", "watching", "d" * 5000, dropped=7)
    assert (health.latency_p50_ms, health.latency_p95_ms) == pytest.approx((49, 94))
    assert (health.frames, health.dropped, health.blur, health.uncertainty) == (100, 7, None, 0.25)
    assert len(health.detail) == 2000


def test_meter__memory_is_bounded() -> None:
    meter = Meter()
    for _ in range(5000):
        meter.assessed(0.01, 0.5, 0.5)
    assert (len(meter.latencies), meter.frames) == (512, 5000)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(["45000\n", "61500"], 61.5), ([], None), (["garbage", "999000"], None), (["", "30000"], 30.0)],
)
def test_temperature__the_hottest_that_makes_sense(tmp_path: Path, texts: list[str], expected: float | None) -> None:
    for i, text in enumerate(texts):
        (tmp_path / f"thermal_zone{i}").mkdir()
        (tmp_path / f"thermal_zone{i}" / "temp").write_text(text)
    assert temperature(tmp_path) == expected


def test_exporter__names_and_labels() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    samples = [
        Sample("wayside_spool_frames", "waiting", 3),
        Sample("wayside_camera_frames", "assessed", 5, "gate", counter=True),
        Sample("wayside_camera_frames", "assessed", 6, "yard", counter=True),
    ]
    exporter = Exporter(port, lambda: samples)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        exporter.close()
    assert "wayside_spool_frames 3.0" in text
    assert 'wayside_camera_frames_total{camera="gate"} 5.0' in text
    assert 'wayside_camera_frames_total{camera="yard"} 6.0' in text


def test_exporter__a_port_in_use() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with pytest.raises(OSError, match="in use"):
            Exporter(s.getsockname()[1], list)
