"""Augmentation: boxes stay on their objects, samples are functions of their place, damaged images are passed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from central.learn.data import Example, Pixels
from central.learn.data.augment import FULL, LIGHT, NONE, Loaded, Strength, compose
from central.learn.data.dataset import Stream, collate, evened, read_image

Shapes = Callable[[int], list[Example]]
GEOMETRY = replace(FULL, colour=0.0, night=0.0, degrade=0.0, paste=0)
"""Moves things without changing their colours, so that they can be found again."""


def loaded(example: Example) -> Loaded:
    image = read_image(str(example.path))
    assert image is not None
    return Loaded(image, example.boxes, example.classes, example.weights, example.complete)


def painted(image: Pixels, label: int) -> NDArray[np.bool_]:
    """Return where the colour of `label` is: red squares, blue discs."""
    blue, red = image[..., 0].astype(int), image[..., 2].astype(int)
    return np.asarray(red - blue > 60 if label == 0 else blue - red > 60)


@pytest.mark.parametrize(
    ("strength", "sources"),
    [(NONE, 1), (GEOMETRY, 1), (GEOMETRY, 4), (GEOMETRY, 9)],
    ids=["none", "one", "mosaic", "nine"],
)
def test_compose__boxes_sit_on_their_objects(shapes: Shapes, strength: Strength, sources: int) -> None:
    examples = shapes(8)
    shares = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        chosen = [loaded(examples[int(i)]) for i in random.integers(0, len(examples), sources)]
        sample = compose(chosen, 96, 128, strength, random)
        for box, label in zip(sample.boxes, sample.classes, strict=True):
            x1, y1, x2, y2 = (round(float(v)) for v in box)
            inside = painted(sample.image[max(0, y1) : y2, max(0, x1) : x2], int(label))
            shares.append(float(inside.mean()))
    assert len(shares) > 30
    assert min(shares) > 0.25  # a corner of a disc, cut off by its window
    assert np.mean(shares) > 0.7


@pytest.mark.parametrize(
    ("said", "night", "kept"),
    [
        ([(1, -1, 0)], 0.0, [1, -1, 0]),
        ([(1, -1, 0)] * 4, 0.0, [1, -1, 0]),
        ([(1, -1, 0), (1, -1, 1), (1, 1, 0), (1, -1, 0)], 0.0, [1, 0, 0]),
        ([(1, -1, 0)], 1.0, [0, 0, 0]),
        ([(1, -1, 0), (1, -1, 0), (1, -1, 0), ()], 0.0, [0, 0, 0]),
    ],
    ids=["one", "alike", "differ", "night now", "some without"],
)
def test_compose__tags_of_the_scene(
    shapes: Shapes, said: list[tuple[int, ...]], night: float, kept: list[int]
) -> None:
    examples = shapes(4)
    sources = [replace(loaded(e), tags=np.array(tags, np.int8)) for e, tags in zip(examples, said, strict=False)]
    sample = compose(sources, 96, 128, replace(LIGHT, night=night), np.random.default_rng(0))
    assert sample.tags.tolist() == kept
    assert collate([sample, replace(sample, tags=np.zeros(0, np.int8))]).tags.tolist() == [kept, [0, 0, 0]]


@pytest.mark.parametrize("strength", [LIGHT, FULL], ids=["light", "full"])
def test_compose__targets_are_in_the_picture_and_belong_together(shapes: Shapes, strength: Strength) -> None:
    examples = shapes(6)
    for seed in range(20):
        random = np.random.default_rng(seed)
        sample = compose([loaded(e) for e in examples[:4]], 96, 128, strength, random, [loaded(examples[0])])
        count = len(sample.boxes)
        assert sample.image.shape == (96, 128, 3) and sample.image.dtype == np.uint8
        assert sample.boxes.shape == (count, 4) and len(sample.classes) == len(sample.weights) == count
        assert bool((sample.boxes >= 0).all()) and bool((sample.boxes <= [128, 96, 128, 96]).all())
        assert bool((sample.boxes[:, 2:] > sample.boxes[:, :2]).all())
        assert sample.regions.shape == (4, 4) and sample.complete.shape == (4, 2)


def test_compose__an_image_without_objects(shapes: Shapes) -> None:
    bare = replace(loaded(shapes(1)[0]), boxes=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64))
    sample = compose([replace(bare, weights=np.zeros(0, np.float32))], 64, 64, FULL, np.random.default_rng(0))
    assert sample.boxes.shape == (0, 4)
    assert collate([sample]).classes.tolist() == [[-1]]


def test_compose__what_holds_nothing_is_pasted_without_a_label(shapes: Shapes) -> None:
    source, donor = (loaded(e) for e in shapes(2))
    place = replace(donor, boxes=donor.boxes[:1], classes=np.array([-1]), weights=donor.weights[:1])
    random = np.random.default_rng
    plain = compose([source], 96, 128, NONE, random(1))
    pasted = compose([source], 96, 128, NONE, random(1), [place])
    assert np.array_equal(plain.boxes, pasted.boxes) and np.array_equal(plain.classes, pasted.classes)
    assert not np.array_equal(plain.image, pasted.image)


def test_evened__images_of_rare_classes_come_more_often(shapes: Shapes) -> None:
    common = [replace(e, classes=np.zeros_like(e.classes)) for e in shapes(9)]
    rare = replace(common[0], classes=np.ones_like(common[0].classes))
    shares = evened([*common, rare], np.ones(10))
    assert shares[:9] == pytest.approx(1.0) and shares[9] == pytest.approx(3.0)


def stream(examples: list[Example], start: int = 0) -> Stream:
    return Stream(examples, np.ones(len(examples)), 12, (64, 64), FULL, 3, start)


def test_stream__a_sample_is_a_function_of_its_place(shapes: Shapes) -> None:
    examples = shapes(5)
    whole, later = stream(examples), stream(examples, 7)
    assert len(later) == 5
    for offset in range(5):
        first, second = whole[7 + offset], later[offset]
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.boxes, second.boxes)


def test_stream__passes_over_damaged_images_and_tells(shapes: Shapes) -> None:
    examples = shapes(3)
    examples[1].path.write_bytes(b"\xff\xd8\xff not a picture")
    given = stream(examples)
    batch = collate([given[i] for i in range(len(given))])
    assert batch.unread.tolist() == [1]
    assert batch.images.shape == (12, 3, 64, 64)


def test_stream__nothing_can_be_read(shapes: Shapes) -> None:
    examples = shapes(2)
    for example in examples:
        example.path.unlink()
    with pytest.raises(OSError, match="none of the 2 images can be read"):
        stream(examples)[0]
