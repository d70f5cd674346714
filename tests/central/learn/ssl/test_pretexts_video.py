"""What holds for every pretext of video, depth and pairs, and what each of them is about."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import ssl_planes
from central.learn.models import ModelConfig
from central.learn.ssl import Batch, PretextError, Scene, Shape, Trunk, make
from central.learn.ssl.geometry import disparity, homography
from central.learn.ssl.pretexts.depth import Depth
from central.learn.ssl.pretexts.depth_order import DepthOrder
from central.learn.ssl.pretexts.egomotion import Egomotion, Options, shaken
from central.learn.ssl.pretexts.future import Future, apart, standard
from central.learn.ssl.pretexts.order import Order
from central.learn.ssl.pretexts.stereo import Stereo
from tests.central.learn.ssl.films import SIDE, VIDEO, film
from tests.central.learn.ssl.worlds import World, frames

VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {}) for name in VIDEO),
    ("depth", {"automask": True, "sources": "least", "learn_focal": True}),
    ("egomotion", {"kind": "homography"}),
    ("flow", {"photometric": 1.0}),
)
PARTS = {
    "clip": ("clip", "times", "moving"), "flow": ("flow",), "stereo": ("right", "rig"), "plain": ("plain",),
    "views": ("first", "second", "first_map", "second_map", "gap"), "boxes": ("first_boxes", "second_boxes", "boxed"),
}  # fmt: skip
ids = ["-".join([name, *(str(v) for v in options.values())]) for name, options in VARIANTS]


def boxed(batch: Batch) -> Batch:
    """Return `batch` with two boxes in each view, the first of them the nearer."""
    boxes = torch.tensor([[10.0, 20, 30, 55], [40, 10, 50, 30]]).expand(len(batch.frame), 2, 4).clone()
    return batch._replace(first_boxes=boxes, boxed=torch.ones(len(boxes), 2, dtype=torch.bool))


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=ids)
def test_loss__finite_and_all_layers_learn(name: str, options: dict[str, Any]) -> None:
    world = World(name, options)
    loss = world.pretext.loss(world.scene(boxed(film())), world.teachers[1])
    assert loss.shape == () and bool(loss.isfinite())
    loss.backward()  # type: ignore[no-untyped-call]
    for place, weights in world.pretext.named_parameters():
        assert not weights.requires_grad or weights.grad is not None, place
    assert any(bool((p.grad != 0).any()) for p in world.trunk.backbone.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", VIDEO)
def test_loss__on_nothing_but_what_it_needs(name: str) -> None:
    world, batch = World(name), boxed(film())
    needed = [fields for part, fields in PARTS.items() if getattr(world.pretext.needs, part)]
    kept = {"frame", "camera"} | {field for fields in needed for field in fields}
    lean = batch._replace(**{f: None for f in Batch._fields if f not in kept})
    assert bool(world.pretext.loss(world.scene(lean), world.teachers[1]).isfinite())


MISSING = (("future", "moving"), ("order", "moving"), ("flow", "flow"), ("stereo", "right"))


@pytest.mark.parametrize(("name", "missing"), MISSING)
def test_loss__says_what_is_missing(name: str, missing: str) -> None:
    world = World(name)
    with pytest.raises(PretextError, match=name):
        world.pretext.loss(world.scene(film()._replace(**{missing: None})), world.teachers[1])


@pytest.mark.parametrize(("name", "share"), [("flow", 0.7), ("future", 0.6), ("order", 0.6), ("egomotion", 0.9)])
def test_loss__falls(name: str, share: float) -> None:
    losses = World(name).learn(film(), 12)
    assert min(losses[-3:]) < share * losses[0]


def test_future__starts_as_a_copy_of_the_last() -> None:
    world = World("future")
    assert isinstance(world.pretext, Future)
    past = torch.randn(2, 3, world.pretext.shape.neck, 4, 4)
    assert torch.equal(world.pretext.predicted(past), past[:, -1])


def test_future__loss_weighs_what_moves() -> None:
    target = standard(torch.randn(1, 4, 2, 2))
    wrong = target.clone()
    wrong[..., 0, 0] = -target[..., 0, 0]  # 1 - cos is 2 there, 0 elsewhere
    moving = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    assert float(apart(wrong, target, moving, 10)) == pytest.approx(2 / 4, rel=1e-4)
    moving[..., 0, 0] = True
    assert float(apart(wrong, target, moving, 10)) == pytest.approx(2 * 10 / 13, rel=1e-4)


def test_order__turns_its_mind_with_the_clip() -> None:
    world = World("order")
    assert isinstance(world.pretext, Order)
    maps, moving = torch.randn(3, 3, world.pretext.shape.neck, 4, 4), torch.rand(3, 1, 4, 4) > 0.5
    forwards, backwards = world.pretext.logit(maps, moving), world.pretext.logit(maps.flip(1), moving)
    assert torch.allclose(forwards, -backwards, atol=1e-5)


def test_order__blind_to_what_stands() -> None:
    world, seen = World("order"), film()
    assert seen.moving is not None
    loss = world.pretext.loss(world.scene(seen._replace(moving=torch.zeros_like(seen.moving))), world.teachers[1])
    assert float(loss.detach()) == 0


def test_shaken__moves_as_it_says() -> None:
    pair = shaken(frames(2, 96).float(), Options(), torch.Generator().manual_seed(0))
    still = torch.eye(3).expand(2, -1, -1)

    def error(h: Tensor) -> float:
        return float(Egomotion.photometric(pair.before, pair.after, h))

    assert 0 < float(homography.corner_error(pair.truth, still, 96, 96).max()) < 8 * 2**0.5 + 4
    assert error(pair.truth) < 0.8 * error(still)


def test_egomotion__no_motion_of_like_maps_by_an_untrained_one() -> None:
    world = World("egomotion")
    assert isinstance(world.pretext, Egomotion)
    maps = torch.randn(2, world.pretext.shape.neck, 8, 8)
    found = world.pretext.estimate(maps, maps)
    still = torch.eye(3)[None]
    assert len(found) == 2 and float(homography.corner_error(found[-1].found.detach(), still, SIDE, SIDE).max()) < 1.5


def test_stereo__the_true_disparity_explains_the_pair_best() -> None:
    world = World("stereo")
    assert isinstance(world.pretext, Stereo)
    rig = ssl_planes.scene(0, SIDE, SIDE, "rig")
    left, right = (torch.from_numpy(rig.frames[i]).permute(2, 0, 1)[None].float() / 255 for i in (1, 2))
    truth = torch.from_numpy(rig.focal * ssl_planes.RIG_M / rig.depth)[None, None]

    def loss(disparities: Tensor) -> float:
        return float(world.pretext.scale([left, right], [disparities, truth], 0))  # type: ignore[operator]

    assert loss(truth) < min(loss(truth * 1.5), loss(truth * 0.5), loss(truth * 0))


def test_stereo__metres() -> None:
    world, rig = World("stereo"), torch.tensor([[57.6, 0.3]])
    assert isinstance(world.pretext, Stereo)
    levels, images = [torch.randn(1, 32, 64 // s, 64 // s) for s in (8, 16, 32)], torch.rand(1, 3, 64, 64)
    world.pretext.eval()
    depth = world.pretext.depth(levels, images, rig)
    assert torch.allclose(depth * world.pretext.pixels(levels, images)[0], torch.tensor(57.6 * 0.3))


def test_depth_order__lower_feet_are_nearer_and_learned() -> None:
    world, seen = World("depth_order"), boxed(film())
    assert isinstance(world.pretext, DepthOrder)
    pairs = world.pretext.pairs(world.scene(seen))
    assert bool(pairs[:, 0, 1].all()) and not bool(pairs[:, 1, 0].any())
    losses = world.learn(seen, 15)
    assert losses[0] == pytest.approx(0.69, abs=0.3) and losses[-1] < 0.5 * losses[0]
    assert world.pretext.watched()["depth_order_right"] == 1


def test_depth_order__boxes_off_the_ground_line_say_nothing() -> None:
    world, seen = World("depth_order"), boxed(film())
    assert isinstance(world.pretext, DepthOrder) and seen.first_map is not None
    feet = torch.linspace(0.4, 1, 64)
    world.pretext.standing[0] = torch.stack((feet - 0.5 * (feet - 0.2), feet), 1)
    world.pretext.counts[0] = 64
    upright = torch.tensor([[SIDE, 0, 0], [0, SIDE, 0.0]]).expand(3, 2, 3)
    boxes = torch.tensor([[10.0, 41, 30, 60], [40, 23.6, 50, 34], [5, 2, 9, 50]]).expand(3, 3, 4)
    seen = seen._replace(first_map=upright, first_boxes=boxes, boxed=torch.ones(3, 3, dtype=torch.bool))
    pairs = world.pretext.pairs(world.scene(seen))
    assert bool(pairs[0, 0, 1]) and not bool(pairs[0, 2].any()) and not bool(pairs[0, :, 2].any())


@pytest.mark.slow
def test_depth__order_of_two_planes_from_known_motions() -> None:
    torch.manual_seed(0)
    size = (48, 64)
    config = ModelConfig(size="tiny", labels=("thing",), height=64, width=64)
    trunk, made = Trunk(config), [ssl_planes.scene(i, *size) for i in range(6)]
    pretext = make("depth", Shape.of(config, *size), {"near": 2.0, "far": 30.0, "focal": 0.9})
    assert isinstance(pretext, Depth)
    clips = ssl_planes.clips(made).float() / 255
    motions = [torch.stack([torch.from_numpy(s.motions[i]) for s in made]) for i in range(2)]
    padded = torch.nn.functional.pad(clips[:, 1] * 255, (0, 0, 0, 16), mode="reflect")

    def found() -> list[Tensor]:
        return [d[:, :, : size[0]] for d in pretext.disparities(trunk(padded).levels, padded / 255)]

    optimizer = torch.optim.Adam([*trunk.parameters(), *pretext.parameters()], 4e-3)
    for _ in range(60):
        loss = pretext.rebuilt(clips[:, 1], found(), motions, [clips[:, 0], clips[:, 2]])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    depth = disparity.depth(found()[0].detach(), 2.0, 30.0)[:, 0]
    near = torch.stack([torch.from_numpy(s.near) for s in made])
    right = [d[n].median() < 0.8 * d[~n].median() for d, n in zip(depth, near, strict=True)]
    assert sum(map(bool, right)) == len(made)


def test_scene__a_clip_passes_once() -> None:
    world, seen = World("future"), film()
    scene: Scene = world.scene(seen)
    assert scene.student("clip") is scene.student("clip")
    assert scene.student("clip").levels[0].shape[0] == 3 * 4
