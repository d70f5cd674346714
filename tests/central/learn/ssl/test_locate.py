"""Where things are, learned without a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from central.learn.data.dataset import read_image
from central.learn.models import ModelConfig, Network
from central.learn.ssl.train import Run
from central.learn.start import weights_from
from edge.runtime.nms import overlaps
from edge.runtime.prepare import letterbox
from export import checkpoint
from tests.central.learn.ssl import streets
from tests.central.learn.ssl.worlds import CONFIG, World, batch


def test_heads__every_class_is_something() -> None:
    world = World("locate")
    world.learn(batch(), 3)
    heads = world.pretext.heads(3)
    config = ModelConfig(size=CONFIG.size, labels=("a", "b", "c"), height=64, width=64, embedding=CONFIG.embedding)
    network = Network(config)
    checkpoint.load_into(network, {**world.trunk.state_dict(), **heads}, strict=False)
    assert {name for name in network.state_dict() if name.startswith("detect.")} == set(heads)
    world.trunk.eval(), world.pretext.eval(), network.eval()
    with torch.no_grad():
        images = batch().scene
        assert images is not None
        logits, sides = world.pretext.detect(world.trunk(images).levels)  # type: ignore[operator]
        raw = network.raw(images)
    assert torch.equal(raw.logits, logits.expand(-1, -1, 3)) and torch.equal(raw.sides, sides)


def test_locate__a_detector_that_starts_from_it_finds_what_drives(tmp_path: Path) -> None:
    stock = streets.stock(tmp_path / "street", cameras=1)
    config = streets.config(pretexts={"locate": 1.0}, options={}, steps=200, batch=8, rate=4e-3)
    Run(config, stock, streets.boxed(stock), tmp_path / "run").run()
    network = Network(config.model)
    left = checkpoint.load_into(network, weights_from(str(tmp_path / "run"), config.model.labels), strict=False)
    assert not any(name.startswith("detect.") for name in left)
    found = []
    for place in range(0, 16, 3):
        image = read_image(str(tmp_path / "street" / "camera0" / f"{place:03d}.png"))
        assert image is not None
        shown = torch.from_numpy(np.ascontiguousarray(letterbox(image, 64, 64)[0][:, :, ::-1].transpose(2, 0, 1)))
        with torch.no_grad():
            made = network.eval()(shown[None])
        best = made["boxes"][made["scores"][:, 0].topk(6).indices].numpy()
        x, left_x = (place * 4 + 3) % (streets.WIDTH - 24), streets.WIDTH - 24 - (place * 4 + 3) % (streets.WIDTH - 24)
        truth = np.array([[x, 30, x + 22, 50], [left_x, 64, left_x + 18, 82]], np.float32) / 2
        truth[:, [1, 3]] += 8  # the picture is twice as wide as the input, and centred in it
        found.append(overlaps(best, truth).max(axis=0) > 0.4)
    assert np.mean(found) > 0.6
