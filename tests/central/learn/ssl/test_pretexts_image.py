"""What holds for every pretext of single images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from central.learn.ssl import Batch, PretextError, find, make
from tests.central.learn.ssl.worlds import IMAGE, VARIANTS, World, batch, tutor

NECKLESS = {"byol", "simclr", "moco", "simsiam", "dino", "masked"}
"""Pretexts from which the neck learns nothing."""
PARTS = {
    "views": ("first", "second", "first_map", "second_map", "gap"),
    "boxes": ("first_boxes", "second_boxes", "boxed"),
    "plain": ("plain",),
    "scene": ("scene", "scene_boxes", "scene_boxed"),
}
ids = [name + "".join(f"-{v}" for v in options.values()) for name, options in VARIANTS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tutor(tmp_path_factory.mktemp("tutor"))


def given(name: str, options: dict[str, Any], model: str) -> dict[str, Any]:
    """Return `options` with a teacher where the pretext wants one."""
    return options | ({"model": model} if name == "distil" else {})


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=ids)
def test_loss__finite_with_gradients_where_it_teaches(name: str, options: dict[str, Any], model: str) -> None:
    world = World(name, given(name, options, model))
    loss = world.pretext.loss(world.scene(batch()), world.teachers[1])
    assert loss.shape == () and bool(loss.isfinite())
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in world.trunk.backbone.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all())
    assert any(bool(p.grad.abs().sum() > 0) for p in world.trunk.backbone.parameters() if p.grad is not None)
    learns = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in world.trunk.neck.parameters())
    assert learns == (name not in NECKLESS)
    # Teachers could learn here, were anything to flow into them.
    assert all(p.grad is None for teacher in world.teachers for p in teacher.parameters())


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=ids)
def test_loss__falls_on_one_batch(name: str, options: dict[str, Any], model: str) -> None:
    # What a box is held to moves until the network says anything at all.
    losses = World(name, given(name, options, model)).learn(batch(), 40 if name == "locate" else 12)
    assert min(losses[-3:]) < 0.95 * losses[0], losses


@pytest.mark.parametrize("name", IMAGE)
def test_needs__are_exact(name: str, model: str) -> None:
    whole, needs = batch(), find(name).needs
    wanted = [part for part in PARTS if getattr(needs, part)]
    assert wanted and not (needs.clip or needs.stereo)
    kept = {field for part in wanted for field in PARTS[part]} | {"frame", "camera"}
    some = Batch(**{field: value for field, value in whole._asdict().items() if field in kept})
    world = World(name, given(name, {}, model))
    assert bool(world.pretext.loss(world.scene(some), world.teachers[1]).isfinite())
    for part in wanted:
        less = some._replace(**dict.fromkeys(PARTS[part]))
        if part != "boxes":  # without boxes, covers lie anywhere
            with pytest.raises(PretextError, match="view"):
                world.pretext.loss(world.scene(less), world.teachers[1])


def test_scene__a_view_passes_each_trunk_once_however_many_ask(model: str) -> None:
    names = ("byol", "simclr", "moco", "simsiam", "dino", "dense", "pixpro", "distil")
    world = World("byol")
    passes = {"student": 0, "teacher": 0}

    def count(who: str) -> Any:
        def hook(*_: object) -> None:
            passes[who] += 1

        return hook

    world.trunk.register_forward_hook(count("student"))
    world.teachers[0].register_forward_hook(count("teacher"))
    scene = world.scene(batch())
    for name in names:
        other = World(name, given(name, {}, model))
        other.pretext.loss(scene, other.teachers[1])
    assert passes == {"student": 2, "teacher": 2}


@pytest.mark.parametrize(
    ("name", "options", "state"),
    [("moco", {"queue": 16}, "queue.keys"), ("dense", {"queue": 16}, "queue.keys"), ("dino", {}, "centre"),
     ("colour", {}, "shares")],
)  # fmt: skip
def test_state__survives_being_saved(name: str, options: dict[str, Any], state: str, tmp_path: Path) -> None:
    world = World(name, options)
    fresh = world.pretext.state_dict()[state].clone()
    world.learn(batch(), 2)
    kept = world.pretext.state_dict()
    assert not torch.equal(kept[state], fresh)
    save_file({key: value.contiguous() for key, value in kept.items()}, tmp_path / "state.safetensors")
    again = World(name, options)
    again.trunk.load_state_dict(world.trunk.state_dict())
    again.pretext.load_state_dict(load_file(tmp_path / "state.safetensors"))
    other = batch(seed=5)._replace(frame=torch.arange(10, 14))
    losses = [w.pretext.loss(w.scene(other), world.teachers[1]) for w in (world, again)]
    assert torch.equal(losses[0], losses[1])


@pytest.mark.parametrize("name", IMAGE)
def test_options__unknown_ones_are_refused(name: str) -> None:
    with pytest.raises(PretextError, match=name):
        make(name, World("byol").pretext.shape, {"nonsense": 1})


def test_byol__learned_is_better_than_a_constant() -> None:
    world, seen = World("byol"), batch(8)
    reached = world.learn(seen, 40)[-1]
    with torch.no_grad():
        constant = []
        for view in ("first", "second"):
            features = world.scene(seen).teacher(view).features[2].mean((2, 3))  # type: ignore[arg-type]
            target = F.normalize(world.teachers[1].project(features), dim=1)  # type: ignore[operator]
            best = F.normalize(target.mean(0), dim=0)  # of all constants the one nearest to the targets
            constant.append((2 - 2 * target @ best).mean())
    assert reached < 0.8 * float(sum(constant)) / 2


def test_moco__keys_of_the_same_frame_do_not_count() -> None:
    world, seen = World("moco", {"queue": 4}), batch(4)
    world.learn(seen, 1)
    queue = world.pretext.queue
    assert queue.frames.tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
    queue.frames[:] = 0  # type: ignore[union-attr, index]
    losses = []
    for frame in (0, 1):
        of = seen._replace(frame=torch.full((4,), frame))
        losses.append(float(world.pretext.loss(world.scene(of), world.teachers[1]).detach()))
    assert losses[0] == 0.0 < losses[1]  # nothing to tell it from
