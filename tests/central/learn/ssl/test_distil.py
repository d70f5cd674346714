"""Distillation from backbones of Transformers, tiny and untrained."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from central.learn.ssl import PretextError
from central.learn.ssl.pretexts.distil import Distil, compared, grid, opened
from tests.central.learn.ssl.worlds import World, batch, frames, tutor


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("dinov2", (16, 5, 5)), ("dinov2_with_registers", (16, 5, 5)), ("vit", (16, 5, 5)), ("convnext", (16, 2, 2)),
     ("swin", (16, 8, 8))],
)  # fmt: skip
def test_tokens__of_every_kind_of_backbone(kind: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    found = opened(tutor(tmp_path, kind)).tokens(frames(2, 64))
    assert found.shape == (2, *shape) and not found.requires_grad


def test_tokens__as_the_network_gives_them_for_pixels_as_it_wants_them(tmp_path: Path) -> None:
    teacher, images = opened(tutor(tmp_path)), frames(2, 70)
    pixels = images.float() / 255
    ready = (pixels - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    with torch.no_grad():
        wanted = teacher.network(pixel_values=ready).last_hidden_state[:, 1:]  # the first is no place
    found = teacher.tokens(images)
    assert torch.allclose(found.flatten(2).transpose(1, 2), wanted, atol=1e-5)


@pytest.mark.parametrize(("tokens", "expected"), [(26, (5, 5)), (25, (5, 5)), (29, (5, 5)), (9, (3, 3)), (4, (2, 2))])
def test_grid__without_what_is_no_place(tokens: int, expected: tuple[int, int]) -> None:
    assert grid(tokens, 70, 70, 14) == expected


def test_grid__no_grid() -> None:
    with pytest.raises(PretextError, match="form no grid"):
        grid(1000, 70, 70, 14)


def test_teacher__is_no_part_of_the_run_and_is_not_copied(tmp_path: Path) -> None:
    world = World("distil", {"model": tutor(tmp_path)})
    assert isinstance(world.pretext, Distil)
    assert {name.split(".")[0] for name in world.pretext.state_dict()} == {"deep", "fine"}
    assert copy.deepcopy(world.pretext).source is world.pretext.source
    before = [p.clone() for p in world.pretext.source.network.parameters()]
    world.learn(batch(), 2)
    assert all(torch.equal(a, b) for a, b in zip(before, world.pretext.source.network.parameters(), strict=True))


def test_compared__nothing_for_the_same_and_resized_to_the_teacher() -> None:
    wanted = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for how in ("cosine", "mse"):
        assert float(compared(wanted, wanted, how)) == pytest.approx(0, abs=1e-6)
    assert float(compared(-wanted, wanted, "cosine")) == pytest.approx(4, abs=1e-5)
    assert float(compared(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 5, 7), "mse")) == pytest.approx(0)


@pytest.mark.parametrize(
    ("model", "told"), [("", "give its teacher"), ("./nowhere", "cannot be opened")], ids=["none", "wrong"]
)
def test_opened__says_what_is_wrong(model: str, told: str) -> None:
    with pytest.raises(PretextError, match=told):
        opened(model)
