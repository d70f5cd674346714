"""Contenders taking turns."""

from __future__ import annotations

import numpy as np
import pytest

from export import bench


class Slow:
    """A model whose passes are counted, not timed."""

    backend_name, precision = "fake", "fp32"

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name, self.backend = log, name, self

    def prepare(self, frame: np.ndarray) -> tuple[np.ndarray, None]:
        return frame, None

    def infer(self, frame: np.ndarray) -> None:
        self.log.append(f"{self.name} whole")

    def run(self, inputs: np.ndarray) -> None:
        self.log.append(f"{self.name} bare")


@pytest.fixture
def contenders() -> tuple[list[str], list[bench.Contender]]:
    log: list[str] = []
    frame = bench.noise_frame()
    return log, [bench.Contender(Slow(log, name), name, 1, frame) for name in "ab"]  # type: ignore[arg-type]


def test_bench__interleaves(contenders: tuple[list[str], list[bench.Contender]]) -> None:
    log, models = contenders
    outcome = bench.bench(models, 3)
    assert log == ["a whole", "a bare", "b whole", "b bare"] * (3 + bench.WARM_UP)
    assert [len(model.whole) for model in models] == [3, 3]
    assert outcome.ratio is None


def test_bench__ratio_is_of_medians(contenders: tuple[list[str], list[bench.Contender]]) -> None:
    _, models = contenders
    models[0].whole, models[0].bare = [4.0, 4.0, 100.0, 4.0, 4.0], [3.0] * 5
    models[1].whole, models[1].bare = [2.0] * 5, [1.0] * 5
    rows = [model.row() for model in models]
    assert (rows[0].p50_ms, rows[0].p95_ms > 50) == (4.0, True)
    assert rows[1].overhead == 2.0
    outcome = bench.bench(models, 1, compare=True)
    assert outcome.ratio == pytest.approx(outcome.rows[0].p50_ms / outcome.rows[1].p50_ms)


def test_noise_frame__size() -> None:
    assert bench.noise_frame().shape == (*bench.FRAME, 3)
