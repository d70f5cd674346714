"""D-FINE and DEIMv2: built from a user's folder, trained by the same loop, exported to packs that compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from central.learn import families
from central.learn.data import Example
from central.learn.data.augment import LIGHT
from central.learn.data.dataset import Batch
from central.learn.detect.config import TrainConfig
from central.learn.detect.train import Run
from central.learn.families.detr import guard, targets, unknown
from central.learn.models.detr import DetrConfig, DetrError, DetrNetwork, configure, pretrained, side_support
from edge.runtime import parity
from edge.runtime.model import Model
from export import checkpoint
from export.run import build_run
from tests.central.learn.conftest import LABELS, SIDE
from tests.central.learn.tiny import detr

KINDS = ("d_fine", "deimv2")


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The folder of a tiny detector that knows a disc, a cone and a square, in that order."""
    detr(request.param, ("disc", "cone", "square"), tmp_path / "weights")
    return str(tmp_path / "weights")


def opened(source: str) -> tuple[DetrConfig, DetrNetwork]:
    """Return configuration and network of `source` for our labels, its weights loaded."""
    config = configure(source, LABELS, LABELS, SIDE, SIDE)
    network = families.of(config).build(config)
    assert isinstance(network, DetrNetwork)
    checkpoint.load_into(network, pretrained(source, config), strict=False)
    return config, network.eval()


def test_forward__outputs_of_a_pack(source: str) -> None:
    _, network = opened(source)
    image = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        out = network(image)
    assert {name: tuple(value.shape) for name, value in out.items()} == {
        "boxes": (20, 4), "scores": (20, 2), "spread": (20, 4), "embedding": (1, 64), "tags": (1, 2),
    }  # fmt: skip
    assert bool((out["spread"] > 0).all())
    assert bool(((out["scores"] > 0) & (out["scores"] < 1)).all())
    assert float(out["embedding"].norm()) == pytest.approx(1.0, abs=1e-5)


def test_pretrained__classes_follow_their_names(source: str) -> None:
    theirs = pretrained(source, configure(source, ("disc", "cone", "square")))
    ours = pretrained(source, configure(source, LABELS))
    name = "detector.class_embed.1.weight"
    assert torch.equal(ours[name][LABELS.index("disc")], theirs[name][0])
    assert torch.equal(ours[name][LABELS.index("square")], theirs[name][2])


def test_config__survives_json(source: str) -> None:
    config = configure(source, LABELS, LABELS, SIDE, SIDE)
    run = TrainConfig(model=config)
    assert msgspec.json.decode(msgspec.json.encode(run), type=TrainConfig) == run
    assert families.parse(msgspec.to_builtins(config)) == config


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_run__trains_and_becomes_a_pack(
    tmp_path: Path, shapes: Callable[[int], list[Example]], settings: Callable[..., TrainConfig], kind: str
) -> None:
    detr(kind, LABELS, tmp_path / "weights")
    config, _ = opened(str(tmp_path / "weights"))
    plan = msgspec.structs.replace(settings(steps=12, rate=1e-3), model=config)
    begin = pretrained(str(tmp_path / "weights"), config)
    result = Run(plan, shapes(4), shapes(2), tmp_path / "run", start=begin).run()
    pack = build_run(tmp_path / "run", tmp_path / "pack", [], [], "fine", "", None)
    assert result.quick is not None
    assert (pack.manifest.nms_iou, pack.manifest.labels) == (1.0, list(LABELS))
    with Model(pack, "cpu") as model:
        assert parity.check(model).ok
        assert model.infer(np.zeros((50, 70, 3), np.uint8), 0.0).detections.spread is not None


def test_run__resumed_is_the_undisturbed_one(
    tmp_path: Path, shapes: Callable[[int], list[Example]], settings: Callable[..., TrainConfig], source: str
) -> None:
    plan = msgspec.structs.replace(settings(steps=4, save_every=2), model=opened(source)[0])
    whole = Run(plan, shapes(4), [], tmp_path / "whole").run().network.state_dict()
    half = Run(plan, shapes(4), [], tmp_path / "half")
    for batch in half._batches(2, LIGHT):
        half._step(batch)
    half.save()
    resumed = Run(plan, shapes(4), [], tmp_path / "half").run().network.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def batch_of(classes: list[int], complete: tuple[bool, bool], weights: list[float]) -> Batch:
    """Return a batch of one image with boxes of `classes`."""
    count = len(classes)
    return Batch(
        torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8),
        torch.tensor([[10.0, 12.0, 30.0, 40.0]] * count)[None], torch.tensor([classes]), torch.tensor([weights]),
        torch.tensor([[[0.0, 0.0, SIDE, SIDE]]]), torch.tensor([[complete]]),
    )  # fmt: skip


def test_losses__an_unknown_class_is_never_lowered(source: str) -> None:
    _, network = opened(source)
    network.train()
    batch = batch_of([0], (True, False), [1.0])
    seen: list[torch.Tensor] = []
    for head in network.detector.model.decoder.class_embed:
        head.register_full_backward_hook(lambda _, __, out: seen.append(out[0]))
    families.of(network.config).losses(network, batch, None, False).total().backward()  # type: ignore[no-untyped-call]
    slopes = torch.cat([s.reshape(-1, len(LABELS)) for s in seen])
    assert bool((slopes[:, 0] > 0).any())
    assert float(slopes[:, 1].max()) <= 0.0


def test_guard__lets_a_share_through_where_the_class_is_improbable() -> None:
    logits = torch.tensor([[[-4.0, -4.0], [3.0, 3.0]]], requires_grad=True)
    guarded = guard(logits, torch.tensor([[False, True]]), torch.tensor([0.5, 0.5]))
    guarded.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.tolist() == [[[1.0, 0.5], [1.0, 0.0]]]


def test_targets__unsure_boxes_are_unknown_instead() -> None:
    batch = batch_of([0, 1], (True, True), [1.0, 0.3])
    assert [t["class_labels"].tolist() for t in targets(batch)] == [[0]]
    assert targets(batch)[0]["boxes"].tolist() == [[20 / SIDE, 26 / SIDE, 20 / SIDE, 28 / SIDE]]
    assert unknown(batch).tolist() == [[False, True]]


def test_side_support__is_symmetric_and_dense_in_the_middle() -> None:
    support = side_support(32, torch.tensor([0.5]), torch.tensor([4.0]))
    gaps = support.diff()
    assert support.shape == (33,)
    assert torch.allclose(support, -support.flip(0))
    assert float(gaps[16]) < float(gaps[-1])
    assert float(support[-1]) == pytest.approx(4.0)


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "bert"}'], ids=["missing", "empty", "another kind"])
def test_configure__says_what_is_wrong(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(DetrError, match=str(tmp_path)):
        configure(str(tmp_path), LABELS)


def test_pretrained__refuses_pickled_weights(source: str) -> None:
    config = configure(source, LABELS)
    (Path(source) / "model.safetensors").unlink()
    torch.save({}, Path(source) / "pytorch_model.bin")
    with pytest.raises(DetrError, match="no weights to start from"):
        pretrained(source, config)


def test_build__an_architecture_that_is_none(source: str) -> None:
    config = configure(source, LABELS)
    broken = {**config.architecture, "decoder_attention_heads": 5}
    with pytest.raises(DetrError, match="cannot be built"):
        DetrNetwork(msgspec.structs.replace(config, architecture=broken))

