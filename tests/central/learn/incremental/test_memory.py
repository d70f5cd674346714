"""What a memory of the past keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from central.learn.data import Example
from central.learn.incremental import Memory
from central.learn.incremental.memory import TIMES, _facets, choose


def example(camera: str, *classes: int, path: str = "x.jpg") -> Example:
    """Return an example with so many boxes."""
    count = len(classes)
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (count, 1)).reshape(-1, 4)
    return Example(
        Path(path), boxes, np.array(classes, np.int64), np.ones(count, np.float32), np.ones(3, bool), camera
    )  # fmt: skip


def test_choose__everything_fits() -> None:
    past = [example("a", 0) for _ in range(5)]
    assert choose(past, Memory()) == [0, 1, 2, 3, 4]
    assert sorted(choose(past, Memory(frames=9))) == [0, 1, 2, 3, 4]


def test_choose__rare_classes_stay() -> None:
    past = [example("a", 0) for _ in range(96)] + [example("a", 1) for _ in range(2)] + [example("a", 2)] * 2
    kept = Counter(int(past[i].classes[0]) for i in choose(past, Memory(frames=10)))
    assert kept[1] + kept[2] >= 3, "4 of 100 frames have them; by chance 0.4 of 10 would"


def test_choose__a_rare_tag_stays() -> None:
    past = [replace(example("a", 0), tags=np.array([1 if i in (40, 90) else -1], np.int8)) for i in range(100)]
    assert {40, 90} <= set(choose(past, Memory(frames=10)))


def test_choose__every_camera_and_time_has_its_part() -> None:
    past = [example("busy", 0) for _ in range(80)] + [example("quiet", 0) for _ in range(16)]
    chosen = choose(past, Memory(frames=2 * TIMES))
    cameras = Counter(past[i].camera for i in chosen)
    assert cameras["quiet"] >= TIMES - 2
    assert len({i * TIMES // 80 for i in chosen if i < 80}) >= TIMES - 1


def test_choose__bytes_bound_what_is_kept(tmp_path: Path) -> None:
    past = []
    for i in range(10):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(bytes(100 if i else 5000))
        past.append(example("a", i % 3, path=str(path)))
    chosen = choose(past, Memory(bytes=450))
    assert len(chosen) == 4 and 0 not in chosen


def test_choose__a_seed_decides_among_equals() -> None:
    past = [example("a", 0) for _ in range(200)]
    assert choose(past, Memory(frames=20), 1) == choose(past, Memory(frames=20), 1)
    assert choose(past, Memory(frames=20), 1) != choose(past, Memory(frames=20), 2)


def test_choose__is_the_plain_greedy_choice() -> None:
    random = np.random.default_rng(0)
    past = [example(f"c{random.integers(3)}", *random.integers(0, 3, random.integers(4))) for _ in range(60)]
    chosen = choose(past, Memory(frames=15), 3)
    held: Counter[object] = Counter()
    facets = _facets(past)

    def gain(i: int) -> float:
        return float(sum((held[f] + 1) ** 0.5 - held[f] ** 0.5 for f in facets[i]))

    for step, index in enumerate(chosen):
        best = max(gain(i) for i in range(len(past)) if i not in chosen[:step])
        assert gain(index) >= best - 1e-9
        held.update(facets[index])
