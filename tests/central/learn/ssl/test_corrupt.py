"""What is done to frames, and what pretexts make of it: noise, compression, covers, colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from central.learn.ssl import PretextError
from central.learn.ssl.corrupt import grey, jpeg, noisy, to_rgb, to_ycc
from central.learn.ssl.pretexts.colour import classes, weights
from central.learn.ssl.pretexts.occlusion import LEAST, Options, covers, inside, standard
from tests.central.learn.ssl.worlds import World, batch, frames


def luck(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_jpeg__as_opencv_has_it(quality: int) -> None:
    images = frames(1, 96).float()
    plain = np.asarray(grey(images)[0, 0].round().byte().numpy())
    written = cv2.imencode(".jpg", plain, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    theirs = torch.from_numpy(cv2.imdecode(written, cv2.IMREAD_GRAYSCALE)).float()
    ours = jpeg(torch.from_numpy(plain).float().expand(1, 3, -1, -1), torch.tensor([float(quality)]))
    assert float((ours[0, 0] - theirs).abs().mean()) < 0.6
    assert float((ours[0, 0] - torch.from_numpy(plain)).abs().mean()) < {10: 12, 50: 6, 90: 2}[quality]


def test_jpeg__each_image_at_its_own_quality() -> None:
    images = frames(2, 32).float()
    both = jpeg(images, torch.tensor([5.0, 95.0]))
    assert torch.equal(both[1], jpeg(images[1:], torch.tensor([95.0]))[0])
    errors = (both - images).abs().mean((1, 2, 3))
    assert float(errors[0]) > 3 * float(errors[1])


def test_ycc__there_and_back_and_grey_has_no_chroma() -> None:
    images = frames(2, 32).float()
    assert torch.allclose(to_rgb(to_ycc(images)), images, atol=1e-3)
    assert float(to_ycc(grey(images))[:, 1:].abs().max()) < 1e-4
    red = torch.tensor([255.0, 0, 0]).reshape(1, 3, 1, 1)
    assert to_ycc(red).flatten().tolist() == pytest.approx([76.245, -43.03, 127.5], abs=0.01)


def test_noisy__up_to_the_most() -> None:
    images = torch.full((64, 3, 16, 16), 100.0)
    deviations = (noisy(images, 50, luck()) - images).std((1, 2, 3))
    assert float(deviations.max()) < 55 and float(deviations.min()) < 5 and float(deviations.max()) > 40


def test_covers__objects_or_anywhere_inside_the_view() -> None:
    seen = batch(64)
    found = covers(seen, 64, 64, Options(objects=1.0), luck())
    # The box of the first slot grows to the least side about its middle; the second slot is padding.
    assert torch.allclose(found, torch.tensor([4.0, 17 - LEAST / 2, 40, 17 + LEAST / 2]).expand(64, 4))
    free = covers(seen, 64, 64, Options(objects=0.0), luck())
    assert bool((free >= 0).all()) and bool((free <= 64 + 1e-3).all())
    share = (free[:, 2] - free[:, 0]) * (free[:, 3] - free[:, 1]) / 64**2
    assert float(share.min()) > 0.099 and float(share.max()) < 0.301
    assert len({tuple(row) for row in free.tolist()}) == 64
    without = covers(seen._replace(first_boxes=None, boxed=None), 64, 64, Options(objects=1.0), luck())
    assert bool((without >= 0).all())


def test_inside__cells_whose_centres_are_covered() -> None:
    found = inside(torch.tensor([[7.0, 8, 40, 24]]), 4, 4, 16)
    assert found[0, 0].nonzero().tolist() == [[0, 0], [0, 1]]
    assert int(inside(torch.tensor([[1.0, 2, 3, 4]]), 8, 8).sum()) == 4


def test_occlusion__the_same_for_all_is_no_way_out() -> None:
    flat = torch.ones(2, 4, 3, 3) * torch.arange(4)[:, None, None]
    assert bool((standard(flat).abs() < 1e-3).all())


def test_occlusion__what_is_covered_is_not_seen() -> None:
    losses = []
    for seed in (0, 0, 7):
        world, seen = World("occlusion", {"objects": 1.0}), batch()
        assert seen.first is not None
        images = seen.first.clone()
        if seed:
            images[:, :, 1:33, 4:40] = frames(4, 64, seed)[:, :, 1:33, 4:40]
        scene, teacher = world.scene(seen), world.teachers
        scene.teacher("first")  # what is wanted stays what it was
        scene.batch = seen._replace(first=images)
        losses.append(float(world.pretext.loss(scene, teacher[1]).detach()))
    assert losses[0] == losses[1] == losses[2]


def test_classes__grey_in_the_middle_and_extremes_at_the_ends() -> None:
    chroma = torch.tensor([[[[0.0, -128, 127, 9]], [[0.0, -128, 127, -1]]]])
    assert classes(chroma)[0, 0].tolist() == [8 * 16 + 8, 0, 255, 8 * 16 + 7]


def test_weights__rare_colours_weigh_more_and_one_in_the_mean() -> None:
    shares = torch.tensor([0.9, 0.1, 0.0, 0.0])
    found = weights(shares, 0.5)
    assert float((found * shares).sum()) == pytest.approx(1)
    assert float(found[1] / found[0]) == pytest.approx((0.45 + 0.125) / (0.05 + 0.125))
    assert torch.allclose(weights(shares, 1.0), torch.ones(4))


def test_colour__the_encoder_sees_grey() -> None:
    world, seen = World("colour", {"target": "values"}), batch()
    passed = []
    world.trunk.register_forward_pre_hook(lambda _, given: passed.append(given[0]))
    world.pretext.loss(world.scene(seen), None)
    assert float(to_ycc(passed[0])[:, 1:].abs().max()) < 1e-4


class Frames:
    """Material of still frames."""

    def __init__(self, grey: bool) -> None:
        image = frames(1, 64)[0].permute(1, 2, 0).numpy()
        self.image = np.repeat(image[:, :, :1], 3, 2) if grey else image

    def clips(self, count: int, frames: int, pace: float) -> list[list[np.ndarray]]:
        return [[self.image]] * count


def test_colour__grey_cameras_are_refused() -> None:
    World("colour").pretext.check(Frames(grey=False))
    with pytest.raises(PretextError, match="no colour to predict"):
        World("colour").pretext.check(Frames(grey=True))
