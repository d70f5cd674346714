"""Made scenes of two planes before a camera that moves, with the truth of everything: for checking geometry alone.

Each plane is a painted wall, square to the axis of the middle camera; the near one covers a part of the picture. Paint
is as fine on both, so the near one looks coarser, and one picture tells the order of depth to who has learned it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from central.learn.ssl.geometry import projection

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]
How = Literal["moves", "turns", "still", "rig"]
PER_METRE = 24
"""Pixels of paint per metre."""
WALL = 1200
"""Pixels of paint each way: 50 m."""
RIG_M = 0.3
"""Baseline of a rig."""


class Planes(NamedTuple):
    """One scene from three places."""

    frames: NDArray[np.uint8]
    """``[3, H, W, 3]`` RGB; the middle one is the target."""
    focal: float
    """Pixels."""
    motions: tuple[NDArray[np.float32], NDArray[np.float32]]
    """``[3, 4]`` each: from the target's camera to those of the first and last frame; metres."""
    depth: NDArray[np.float32]
    """``[H, W]`` metres, of the target."""
    near: NDArray[np.bool_]
    """``[H, W]`` where the near plane is seen."""


def paint(random: np.random.Generator) -> Image:
    """Return a wall of blots, ``[WALL, WALL, 3]``."""
    total = np.zeros((WALL, WALL, 3), np.float32)
    for side, strength in ((WALL // 4, 60.0), (WALL // 12, 60.0), (WALL // 40, 50.0)):
        blots = random.normal(0, strength, (side, side, 3)).astype(np.float32)
        total += cv2.resize(blots, (WALL, WALL), interpolation=cv2.INTER_CUBIC)
    colour = random.uniform(70, 180, 3).astype(np.float32)
    return np.asarray(np.clip(total + colour, 0, 255), np.uint8)


def seen(wall: Image, depth: float, k: Matrix, pose: Matrix, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the wall at `depth` metres as a camera `k`, `pose` sees it in a picture of `size` (width, height)."""
    metres = np.array([[1 / PER_METRE, 0, -WALL / PER_METRE / 2], [0, 1 / PER_METRE, -WALL / PER_METRE / 2], [0, 0, 1]])
    onto = np.stack((pose[:, 0], pose[:, 1], pose[:, 2] * depth + pose[:, 3]), 1)
    return np.asarray(cv2.warpPerspective(wall, k @ onto @ metres, size, flags=cv2.INTER_AREA), np.float64)


def ways(random: np.random.Generator, how: How) -> list[NDArray[np.float64]]:
    """Return axis times angle and translation ``[6]`` of the three cameras, metres; those of the middle are 0."""
    way = random.uniform(-1, 1, 3) * (0.1, 0.05, 0.1)
    way[0] += np.sign(way[0]) * 0.15
    turns = random.uniform(-0.01, 0.01, (3, 3))
    made = []
    for step, turn in zip((-1.0, 0.0, 1.0), turns, strict=True):
        vector = np.concatenate((turn * (step != 0) * (how in ("moves", "turns")), -way * step * (how == "moves")))
        if how == "rig":
            vector[3] = -RIG_M * step
        made.append(vector)
    return made


def scene(seed: int, height: int = 96, width: int = 128, how: How = "moves", patches: int = 1) -> Planes:
    """Return the scene of `seed`; the camera `moves`, only `turns`, stands `still`, or is a `rig` of three in a row.

    The near plane is seen as so many `patches`, which may overlap.
    """
    random = np.random.default_rng(seed)
    focal = 0.9 * width
    k = projection.intrinsics(torch.tensor([focal]), height, width)[0].double().numpy()
    far, near = float(random.uniform(9, 12)), float(random.uniform(3.5, 5.5))
    back, front, mask = paint(random), paint(random), np.zeros((WALL, WALL), np.uint8)
    for _ in range(patches):
        wide = random.uniform(0.8, 1.4, 2) * near / 4 / patches**0.5
        middle = WALL / 2 + random.uniform(-0.8, 0.8, 2) * PER_METRE * patches**0.5
        low, high = middle - wide * PER_METRE, middle + wide * PER_METRE
        cv2.rectangle(mask, np.rint(low).astype(int).tolist(), np.rint(high).astype(int).tolist(), 255, -1)
    frames, poses = [], []
    for step, vector in enumerate(ways(random, how)):
        pose = projection.motion(torch.tensor(vector[None], dtype=torch.float32))[0].double().numpy()
        cover = seen(mask, near, k, pose, (width, height))
        share = cover[..., None] / 255.0
        image = seen(front, near, k, pose, (width, height)) * share
        image += seen(back, far, k, pose, (width, height)) * (1 - share)
        frames.append(np.clip(image + random.normal(0, 1.5, image.shape), 0, 255).astype(np.uint8))
        poses.append(pose.astype(np.float32))
        if step == 1:
            covered = cover > 127
    depth = np.where(covered, near, far).astype(np.float32)
    return Planes(np.stack(frames), focal, (poses[0], poses[2]), depth, covered)


def clips(scenes: list[Planes]) -> Tensor:
    """Return their frames as a batch has them: ``[B, 3, 3, H, W]`` uint8."""
    return torch.from_numpy(np.stack([s.frames for s in scenes])).permute(0, 1, 4, 2, 3).contiguous()


def drive(seed: int, height: int = 288, width: int = 384, step: float = 0.4, turn: float = 0.0) -> list[Image]:
    """Return three BGR frames of a painted street (ground, two rows of houses, an end) seen driving down it.

    `step` metres and `turn` radians from frame to frame.
    """
    random = np.random.default_rng(seed)
    walls = [paint(random) for _ in range(4)]
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    rays = np.stack((x / (0.9 * width), y / (0.9 * width), np.ones_like(x)))
    frames = []
    for i in range(3):
        pose = projection.motion(torch.tensor([[0, turn * i, 0, 0, 0, 0]], dtype=torch.float32))[0].double().numpy()
        way = np.einsum("ij,jhw->ihw", pose[:, :3], rays)
        here = np.array([0.0, 0.0, step * i])
        image, nearest = np.zeros((height, width, 3), np.uint8), np.full((height, width), np.inf)
        for wall, (axis, place) in zip(walls, ((1, 1.5), (0, -4.0), (0, 5.0), (2, 30.0)), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                far = (place - here[axis]) / way[axis]
            far[~np.isfinite(far) | (far <= 0)] = np.inf
            closer = far < nearest
            hit = here[:, None, None] + way * np.where(closer, far, 0)
            u, v = (np.asarray(hit[a] * PER_METRE + WALL / 4, np.float32) for a in range(3) if a != axis)
            seen_wall = cv2.remap(wall, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            image[closer], nearest[closer] = seen_wall[closer], far[closer]
        frames.append(image)
    return frames
