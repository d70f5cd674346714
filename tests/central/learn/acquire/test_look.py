"""The running network's view of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from central.learn.acquire.look import look, quality
from central.learn.data import Example
from central.learn.models import ModelConfig, build

CONFIG = ModelConfig(size="tiny", labels=("square", "disc"), height=64, width=64, embedding=16)


def test_look__features_are_those_of_the_boxes_cells(shapes: Callable[[int], list[Example]]) -> None:
    torch.manual_seed(0)
    network = build(CONFIG).eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("detect.classes.") and weight.ndim == 1:
                weight.fill_(0.0)  # everything is half probable, so that there are boxes
    first, second = look(network, shapes(2), [0.0, 7.0], [{"blur": 0.5}, {}])
    count = len(first.boxes)
    assert count and first.scores.shape == (count, 2) and first.features.shape[0] == count
    assert first.spread.shape == (count,) and (first.spread > 0).all()
    assert abs(float(np.linalg.norm(first.embedding)) - 1) < 1e-4
    assert (second.time, first.evidence) == (7.0, {"blur": 0.5})


def test_look__an_image_that_cannot_be_read_is_an_empty_frame(shapes: Callable[[int], list[Example]]) -> None:
    lost = replace(shapes(1)[0], path=Path("nowhere.png"))
    assert len(look(build(CONFIG).eval(), [lost])[0].best) == 0


def test_quality__what_is_never_found_is_not_known(shapes: Callable[[int], list[Example]]) -> None:
    assert quality(build(CONFIG).eval(), shapes(3)).tolist() == [0.0, 0.0]
