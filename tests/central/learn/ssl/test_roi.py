"""What is in a box."""

from __future__ import annotations

import torch

from central.learn.models.roi import roi_align
from central.learn.ssl.roi import level_of, roi_means


def test_roi_means__of_a_ramp_is_the_middle() -> None:
    ramp = torch.arange(16.0)[None, None, None].expand(1, 1, 16, 16).contiguous()
    levels = [ramp, ramp[..., :8, :8].contiguous(), ramp[..., :4, :4].contiguous()]
    box = torch.tensor([[[16.0, 16.0, 40.0, 40.0]]])
    assert torch.allclose(roi_means(levels, box)[0, 0, 0], torch.tensor(28 / 8 - 0.5), atol=1e-4)


def test_roi_means__agrees_with_the_align_of_one_map() -> None:
    torch.manual_seed(0)
    levels = [torch.randn(2, 5, 64 // s * 2, 64 // s * 3) for s in (8, 16, 32)]
    boxes = torch.tensor([[8.0, 12.0, 40.0, 50.0], [3.0, 3.0, 20.0, 15.0]]).expand(2, -1, -1).contiguous()
    means = roi_means(levels, boxes, size=4)
    for b in range(2):
        for k in range(2):
            level = int(level_of(boxes[b, k]))
            wanted = roi_align(levels[level][b], boxes[b, k : k + 1], (8, 16, 32)[level], 2).mean((2, 3))[0]
            assert torch.allclose(means[b, k], wanted, atol=1e-5)


def test_level_of__by_size() -> None:
    sides = torch.tensor([8.0, 40.0, 70.0, 200.0, 1000.0])
    boxes = torch.stack((torch.zeros(5), torch.zeros(5), sides, sides), 1)
    assert level_of(boxes).tolist() == [0, 0, 1, 2, 2]
