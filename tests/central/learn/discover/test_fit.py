"""Learning on boxes: from tags, and with a few boxes beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from central.learn.discover.evaluate import Truth, best_boxes, corloc, quick
from central.learn.discover.features import Bags, fit
from central.learn.discover.fit import Drawn, Fit, FitConfig, Lessons, certain, judge
from central.learn.discover.targets import examples, targets

CLASSES, DIMENSIONS, BOXES = 2, 12, 12
LABELS = ("a", "b")


def world(count: int, seed: int = 0) -> tuple[Bags, np.ndarray, list[Truth]]:
    """Images with one object each: the features of its box and of one like it say its class, others are noise."""
    random = np.random.default_rng(seed)
    boxes, features, labels, truth = [], [], [], []
    for image in range(count):
        label = image % CLASSES
        low = random.uniform(0, 70, (BOXES, 2))
        own = np.concatenate([low, low + random.uniform(12, 30, (BOXES, 2))], 1)
        own[1] = own[0] + random.uniform(-2, 2, 4)
        seen = random.normal(0, 0.5, (BOXES, DIMENSIONS))
        seen[:2, label] += 4
        boxes.append(own)
        features.append(seen)
        labels.append([1 if c == label else -1 for c in range(CLASSES)])
        truth.append(Truth(own[:1].astype(np.float32), np.array([label])))
    flat = np.concatenate(boxes).astype(np.float32)
    bags = Bags(
        np.arange(count + 1) * BOXES, flat, np.ones(len(flat), np.float32),
        np.concatenate(features).astype(np.float16), np.zeros((len(flat), 2, 0), np.float16),
        np.zeros(DIMENSIONS, np.float32), np.eye(DIMENSIONS, dtype=np.float32), np.zeros(0, np.int64),
    )  # fmt: skip
    return bags, np.array(labels, np.int8), truth


def config(**given: object) -> FitConfig:
    plain: dict[str, object] = {"epochs": 8, "rate": 5e-3, "hidden": 32}
    return FitConfig(**{**plain, **given})  # type: ignore[arg-type]


def located(bags: Bags, heads: object, truth: list[Truth]) -> float:
    judged = [judge(heads, bags[i]) for i in range(len(bags))]  # type: ignore[arg-type]
    return corloc([best_boxes(j.boxes, j.scores) for j in judged], truth)


@pytest.mark.parametrize("seeds", ["best", "several", "clusters"])
def test_fit__finds_objects_from_tags(seeds: str) -> None:
    bags, labels, truth = world(40)
    heads = Fit(config(seeds=seeds), bags, Lessons(labels, certain(labels))).run()
    assert located(bags, heads, truth) >= 0.9


def test_fit__the_same_twice() -> None:
    bags, labels, _ = world(10)
    one, other = (Fit(config(epochs=2), bags, Lessons(labels, certain(labels))).run() for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_fit__tags_beside_few_boxes_help() -> None:
    bags, labels, truth = world(60)
    drawn = {p: Drawn(truth[p].boxes, truth[p].classes, np.ones(1, np.float32)) for p in range(4)}
    lessons = Lessons(labels, certain(labels), drawn)
    judged = [
        [judge(heads, bags[i]) for i in range(len(bags))]
        for heads in (
            Fit(config(epochs=10), bags, lessons).run(),
            Fit(config(epochs=10, tags=False), bags, lessons).run(),
        )
    ]
    both, alone = (quick(j, truth, LABELS).ap50 for j in judged)
    assert both > alone


def test_fit__unknown_tags_teach_nothing() -> None:
    bags, labels, _ = world(6)
    with pytest.raises(ValueError, match="nothing to learn"):
        Fit(config(), bags, Lessons(np.zeros_like(labels), certain(labels)))


def test_fit__images_with_boxes_are_drawn_often_enough() -> None:
    bags, labels, truth = world(40)
    drawn = {0: Drawn(truth[0].boxes, truth[0].classes, np.ones(1, np.float32))}
    made = Fit(config(), bags, Lessons(labels, certain(labels), drawn))
    assert made.shares[0] == pytest.approx(0.34)
    assert made.shares.sum() == pytest.approx(1.0)


def test_judge__of_no_boxes() -> None:
    bags, labels, _ = world(4)
    heads = Fit(config(epochs=1), bags, Lessons(labels, certain(labels))).run()
    bags.starts = np.array([0, 0])
    assert judge(heads, bags[0]).scores.shape == (0, CLASSES)


def test_targets__only_of_present_classes_and_by_how_sure_a_tag_is() -> None:
    bags, labels, _ = world(4)
    heads = Fit(config(epochs=2), bags, Lessons(labels, certain(labels))).run()
    judged = judge(heads, bags[0])
    sure, half = (targets(judged, labels[0], np.full(2, v, np.float32)) for v in (1.0, 0.5))
    assert set(sure.classes.tolist()) == {0}
    assert half.scores.tolist() == pytest.approx((0.5 * sure.scores).tolist())
    assert not len(targets(judged, np.array([-1, 0], np.int8), np.ones(2, np.float32)).boxes)


def test_examples__complete_for_what_is_absent() -> None:
    bags, labels, truth = world(3)
    heads = Fit(config(epochs=1), bags, Lessons(labels, certain(labels))).run()
    found = [targets(judge(heads, bags[i]), labels[i], np.ones(2, np.float32)) for i in range(3)]
    drawn = {1: Drawn(truth[1].boxes, truth[1].classes, np.ones(1, np.float32))}
    made = examples([], [], labels, {}) + examples([None] * 3, found, labels, drawn)  # type: ignore[list-item]
    assert made[0].complete.tolist() == [False, True]
    assert made[1].complete.all()
    assert (made[0].weights <= 1).all()


def test_projection__has_unit_variance_along_main_directions() -> None:
    torch.manual_seed(0)
    raw = torch.randn(500, 6) * torch.tensor([9.0, 5.0, 3.0, 1e-4, 1e-4, 1e-4]) + 7
    found = fit(raw, 4)(raw)
    assert found.shape == (500, 4)
    assert found[:, :3].std(0).tolist() == pytest.approx([1, 1, 1], abs=0.1)
    assert float(found[:, 3].std()) < 0.1


def test_corloc__counts_classes_that_are_present() -> None:
    truth = [Truth(np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32), np.array([0, 1]))]
    best = np.array([[0, 0, 10, 9], [0, 0, 10, 10]], np.float32)
    assert corloc([best], truth) == 0.5
    assert corloc([np.full((2, 4), np.nan, np.float32)], truth) == 0.0
