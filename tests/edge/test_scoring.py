"""Assessing without publishing, over a model that knows the synthetic street."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from edge import scoring
from edge.runtime import Detections, Inference
from edge.sources import Image, SourceError, open_source
from protocols.messages import Policy
from protocols.pack import Pack

KEYS = {
    "frame", "time", "detections", "blur", "uncertainty", "inconsistency", "unexplained_motion", "novelty",
    "redundancy", "selected", "probability", "reason",
}  # fmt: skip
STREET = "street:width=160,height=96,frames=30"


class Fake:
    """A model that sees one car."""

    labels: tuple[str, ...] = ("person", "two_wheeler", "car", "bus", "truck")

    backend_name = "fake"

    def __init__(self, blur: float | None = None) -> None:
        self.blur, self.calls = blur, 0
        self.pack = cast(Pack, SimpleNamespace(address="a" * 64))

    def close(self) -> None:
        pass

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        self.calls += 1
        found = Detections(
            np.array([[10, 20, 50, 40]], np.float32),
            np.array([0.8], np.float32),
            np.array([2]),
            np.ones((1, 4), np.float32),
        )
        embedding = 1.0 + np.resize(image.astype(np.float32).mean(axis=(1, 2)), 16)
        blur = None if self.blur is None else np.full((4, 4), self.blur, np.float32)
        return Inference(
            found, np.full((1, 5), 0.1, np.float32), blur, np.asarray(embedding / np.linalg.norm(embedding), np.float32)
        )


def test_score_source__exact_keys_and_json() -> None:
    rows = list(scoring.score_source(open_source(STREET, "c"), Fake()))
    assert len(rows) == 30
    assert all(set(row) == KEYS for row in rows)
    assert json.loads(json.dumps(rows[-1])) == rows[-1]
    assert rows[3]["frame"] == 3 and rows[3]["time"].endswith("+00:00")
    assert rows[0]["detections"] == [
        {"box": [10.0, 20.0, 50.0, 40.0], "label": "car", "score": 0.8, "spread": [1.0] * 4, "blur": None}
    ]
    assert all(0 <= row["probability"] <= 1 and row["reason"] for row in rows)


def test_score_source__counts_in_media_time() -> None:
    """A quota of half the frames is met, however fast the recording is read."""
    policy = Policy(version=0, frames_per_hour=3600 * 5, min_gap_s=0.0)
    rows = list(scoring.score_source(open_source("street:width=160,height=96,frames=120", "c"), Fake(), policy))
    assert 39 <= sum(row["selected"] for row in rows) <= 85  # in wall time, next to none or nearly all


def test_score_source__names_files(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    assert [row["name"] for row in scoring.score_source(open_source(str(tmp_path), "c"), Fake())] == ["a.png"]


def test_alternate__each_goes_first_and_a_short_block_does_not_count() -> None:
    order: list[str] = []

    def run(name: str, counts: list[int]) -> Callable[[], tuple[int, float]]:
        return lambda: (order.append(name) or counts.pop(0), 1.0)  # type: ignore[func-returns-value]

    pairs = scoring.alternate(run("bare", [5, 5, 5, 5]), run("full", [5, 5, 5, 2]), 9)
    assert order == ["bare", "full", "full", "bare", "bare", "full", "full", "bare"]
    assert len(pairs) == 3


def test_bench_source__figures() -> None:
    often = Policy(version=0, frames_per_hour=3600 * 10, min_gap_s=0.0, audit_share=1.0)
    result = scoring.bench_source(open_source(STREET, "c"), open_source(STREET, "c"), Fake(), 20, often)
    others = {"health_share", "keep_share"}
    assert set(result) == {"fps", "bare_fps", "ratio", "shares", "frames", "selected"} | others
    assert result["frames"] == 20
    assert 0 < result["ratio"] < 1.5
    assert result["selected"] > 0 and all(0 < result[name] < 1 for name in others)
    assert set(result["shares"]) == {
        "blur",
        "uncertainty",
        "inconsistency",
        "unexplained_motion",
        "novelty",
        "redundancy",
    }
    assert 0 < sum(result["shares"].values()) < 1


def test_bench_source__too_short() -> None:
    short = "street:width=160,height=96,frames=3"
    with pytest.raises(SourceError, match="too few"):
        scoring.bench_source(open_source(short, "c"), open_source(short, "c"), Fake())


def test_score__writes_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_model", lambda pack: nullcontext(Fake()))
    result = scoring.score(STREET, "base", tmp_path / "out.jsonl", 7)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == result["frames"] == 7
