"""Warps, projections, errors and fits, against OpenCV and against sums written out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import ssl_planes
from central.learn.ssl.geometry import homography, photometric, projection, smoothness, warp
from central.learn.ssl.geometry.flow import hidden
from central.learn.ssl.geometry.matching import correlation


def picture(seed: int = 0, height: int = 48, width: int = 64, soft: int = 4) -> Tensor:
    """Return blots ``[1, 3, height, width]`` 0..1."""
    random = np.random.default_rng(seed)
    small = random.random((height // soft, width // soft, 3)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(large).permute(2, 0, 1)[None].clip(0, 1)


def image(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor[0].permute(1, 2, 0).numpy())


def pushed(shift: float) -> Tensor:
    """Return the picture ``[1, 3, 48, 64]`` moved right by `shift` pixels, its border continued."""
    flow = torch.tensor([-shift, 0.0])[None, :, None, None].expand(1, 2, 48, 64)
    return warp.sample(picture(), warp.flowed(flow))


def test_sample__as_cv2_remap() -> None:
    away = torch.randn(1, 48, 64, 2, generator=torch.Generator().manual_seed(0)) * 6
    places = warp.grid(48, 64, picture())[None] + away
    ours = image(warp.sample(picture(), places))
    x, y = (places[0, ..., i].numpy() for i in (0, 1))
    theirs = cv2.remap(image(picture()), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(ours - theirs).max() < 0.05  # OpenCV rounds places to 1/32 of a pixel
    assert np.abs(ours - theirs).mean() < 2e-3


def test_transformed__as_cv2_warp_perspective() -> None:
    h = np.array([[1.02, 0.03, -3.0], [-0.02, 0.98, 2.0], [1e-4, -2e-4, 1.0]], np.float32)
    ours = image(warp.sample(picture(), warp.transformed(torch.from_numpy(h)[None], 48, 64)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpPerspective(image(picture()), h, (64, 48), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(ours - theirs).mean() < 2e-3


def test_structure__as_summed_by_hand() -> None:
    a, b = picture(1)[:, :, :6, :7].double(), picture(2)[:, :, :6, :7].double()
    found = photometric.structure(a, b)
    pad = [np.pad(image(x), ((1, 1), (1, 1), (0, 0)), mode="reflect") for x in (a, b)]
    for y, x in ((0, 0), (2, 3), (5, 6)):
        by_channel = []
        for c in range(3):
            u, v = (p[y : y + 3, x : x + 3, c].ravel() for p in pad)
            together = ((u - u.mean()) * (v - v.mean())).mean()
            over = (2 * u.mean() * v.mean() + 1e-4) * (2 * together + 9e-4)
            under = (u.mean() ** 2 + v.mean() ** 2 + 1e-4) * (u.var() + v.var() + 9e-4)
            by_channel.append(min(1.0, max(0.0, (1 - over / under) / 2)))
        assert float(found[0, 0, y, x]) == pytest.approx(np.mean(by_channel), abs=1e-9)


def test_error__nothing_between_equals() -> None:
    assert float(photometric.error(picture(), picture()).max()) < 1e-6


def test_error__grows_with_the_shift() -> None:
    errors = [float(photometric.error(picture(), pushed(s)).mean()) for s in (0, 0.5, 1, 1.5, 2, 2.5, 3)]
    assert errors == sorted(errors) and errors[0] < 1e-6 < errors[1]


@pytest.mark.parametrize(("alpha", "other"), [(1.0, "structure"), (0.0, "difference")])
def test_error__ends_of_alpha(alpha: float, other: str) -> None:
    a, b = picture(1), picture(2)
    alone = photometric.structure(a, b) if other == "structure" else (a - b).abs().mean(1, keepdim=True)
    assert torch.allclose(photometric.error(a, b, alpha), alone)


def test_census__blind_to_brightness() -> None:
    brighter = picture() * 0.8 + 0.1
    assert float(photometric.census(picture(), picture()).max()) == 0
    other = photometric.census(picture(), picture(9))
    assert float(photometric.census(picture(), brighter).mean()) < 0.3 * float(other.mean())


def test_seen_from__no_motion_gives_the_picture_back() -> None:
    k = projection.intrinsics(torch.tensor([50.0]), 48, 64)
    depth = torch.rand(1, 1, 48, 64, generator=torch.Generator().manual_seed(0)) * 50 + 0.1
    view, shown = projection.seen_from(picture(), depth, k, projection.motion(torch.zeros(1, 6)))
    assert float((view - picture()).abs()[..., 1:-1, 1:-1].max()) < 1e-5
    assert float(shown[..., 1:-1, 1:-1].float().mean()) == 1


def test_rotation__as_cv2_rodrigues() -> None:
    turns = torch.tensor([[0.3, -0.2, 0.9], [1e-6, 0, 0], [0.0, 0, 0]])
    for turn, found in zip(turns, projection.rotation(turns), strict=True):
        assert np.abs(found.numpy() - cv2.Rodrigues(turn.double().numpy())[0]).max() < 1e-6


def test_rotation__gradient_at_rest() -> None:
    turn = torch.zeros(1, 3, requires_grad=True)
    projection.rotation(turn).sum().backward()  # type: ignore[no-untyped-call]
    assert turn.grad is not None and bool(turn.grad.isfinite().all())


def test_projected__as_cv2_project_points() -> None:
    k = projection.intrinsics(torch.tensor([80.0]), 48, 64)
    vector = torch.tensor([[0.05, -0.1, 0.02, 0.3, -0.2, 0.1]])
    points = projection.lifted(torch.full((1, 1, 48, 64), 7.0), k)
    places, _ = projection.projected(points, k, projection.motion(vector))
    flat = points[0].flatten(1).T.double().numpy()
    turn, way = (v.double().numpy() for v in (vector[0, :3], vector[0, 3:]))
    theirs, _ = cv2.projectPoints(flat, turn, way, k[0].double().numpy(), None)
    assert np.abs(places[0].reshape(-1, 2).numpy() - theirs[:, 0]).max() < 1e-3


def test_seen_from__true_depth_and_motion_explain_made_scenes() -> None:
    made = ssl_planes.scene(0, 96, 128)
    clip = ssl_planes.clips([made])[0].float() / 255
    k = projection.intrinsics(torch.tensor([made.focal]), 96, 128)
    motion = torch.from_numpy(made.motions[1])[None]

    def error(depth: Tensor) -> float:
        view, _ = projection.seen_from(clip[None, 2], depth, k, motion)
        return float(photometric.error(view, clip[None, 1]).mean())

    truth = torch.from_numpy(made.depth)[None, None]
    assert error(truth) < 0.3 * min(error(truth * 1.5), error(truth / 1.5))
    assert error(truth) < 0.6 * error(truth.flip(3))


@pytest.mark.parametrize("kind", ["similarity", "homography"])
def test_fit__exact_and_as_cv2_find_homography(kind: homography.Kind) -> None:
    random = np.random.default_rng(0)
    points = random.uniform(0, 300, (40, 2))
    truth = homography.similarity(torch.tensor([[4.0, -3.0]]), torch.tensor([0.03]), torch.tensor([1.02]), 240, 320)
    if kind == "homography":
        truth = truth.clone()
        truth[:, 2, :2] = torch.tensor([1e-4, -2e-4])
    flat = torch.from_numpy(points)[None].float()
    targets = warp.moved(truth, flat)
    found = homography.fit(flat, targets, torch.ones(1, 40), kind)
    assert float(homography.corner_error(found, truth, 240, 320)) < 0.05
    theirs, _ = cv2.findHomography(points, targets[0].double().numpy(), 0)
    assert float(homography.corner_error(found, torch.from_numpy(theirs)[None].float(), 240, 320)) < 0.05


def test_fit__weights_leave_out_what_is_wrong() -> None:
    points = torch.rand(1, 60, 2, generator=torch.Generator().manual_seed(0)) * 200
    truth = homography.similarity(torch.tensor([[5.0, 2.0]]), torch.tensor([0.02]), torch.tensor([1.0]), 200, 200)
    targets = warp.moved(truth, points)
    targets[:, :20] += 30
    sure = torch.ones(1, 60)
    assert float(homography.corner_error(homography.fit(points, targets, sure), truth, 200, 200)) > 5
    sure[:, :20] = 0
    assert float(homography.corner_error(homography.fit(points, targets, sure), truth, 200, 200)) < 0.05


def test_smoothness__first_order_flat_is_free_and_edges_pay_less() -> None:
    flat, step = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    step[..., 4:] = 2
    plain, edged = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    edged[..., 4:] = 1
    assert float(smoothness.first_order(flat, plain)) == 0
    assert 0 < float(smoothness.first_order(step, edged)) < float(smoothness.first_order(step, plain))
    assert torch.allclose(smoothness.relative(step), smoothness.relative(step * 7))


def test_smoothness__second_order_ramps_are_free() -> None:
    ramp = torch.arange(8.0).expand(1, 2, 8, 8)
    assert float(smoothness.second_order(ramp, torch.zeros(1, 3, 8, 8))) == 0
    assert float(smoothness.second_order(ramp**2, torch.zeros(1, 3, 8, 8))) > 0


def test_hidden__what_both_flows_agree_on_is_seen() -> None:
    forward = torch.zeros(1, 2, 16, 16)
    forward[:, 0] = 3
    found = hidden(forward, -forward)
    assert not bool(found[..., :12].any()) and bool(found[..., 14:].all())
    assert bool(hidden(forward, forward).all())


def test_correlation__channel_of_the_shift() -> None:
    a = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    b = torch.roll(a, (1, -2), (2, 3))  # down by one, left by two
    best = correlation(a, b, 2).argmax(1)[0, 2:4, 2:4]
    assert best.unique().tolist() == [(1 + 2) * 5 + (-2 + 2)]


def test_kept__nothing_of_a_static_clip() -> None:
    random = torch.Generator().manual_seed(0)
    frames = [picture(0, 96, 128, 8) + torch.randn(1, 3, 96, 128, generator=random) * 0.01 for _ in range(2)]
    flow = torch.full((1, 2, 96, 128), 0.5)
    warped = photometric.error(warp.sample(frames[1], warp.flowed(flow)), frames[0])
    still = photometric.unmoved(frames[0], frames[1])
    assert float(photometric.kept(warped, still).float().mean()) < 0.05


def test_kept__most_of_a_clip_that_a_shift_explains() -> None:
    before, after = picture(), pushed(3)
    back = warp.sample(after, warp.flowed(torch.tensor([3.0, 0])[None, :, None, None].expand(1, 2, 48, 64)))
    kept = photometric.kept(photometric.error(back, before), photometric.unmoved(before, after))
    assert float(kept.float().mean()) > 0.6
