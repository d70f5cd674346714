"""What classical methods make of a shaken frame: ORB with RANSAC, and ECC."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from central.learn.ssl.pretexts.egomotion import Pair


def orb(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return H ``[3, 3]`` by matched ORB features and RANSAC; no motion where they are too few."""
    finder = cv2.ORB.create(500)
    one, a = finder.detectAndCompute(before, None)
    two, b = finder.detectAndCompute(after, None)
    if a is None or b is None or len(a) < 4 or len(b) < 4:
        return np.eye(3)
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(a, b)
    here = np.array([one[m.queryIdx].pt for m in matches], np.float32)
    there = np.array([two[m.trainIdx].pt for m in matches], np.float32)
    found = None if len(matches) < 4 else cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=2.0)[0]
    return np.eye(3) if found is None else np.vstack((found, (0, 0, 1)))


def ecc(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return H ``[3, 3]`` by enhanced correlation (Evangelidis, PAMI 2008); no motion where it does not converge."""
    start: Any = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-4)
    try:
        _, found = cv2.findTransformECC(before, after, start, cv2.MOTION_AFFINE, stop)
    except cv2.error:
        return np.eye(3)
    return np.vstack((found, (0, 0, 1)))


def baselines(pair: Pair) -> dict[str, Tensor]:
    """Return the homographies ``[N, 3, 3]`` of each method."""
    greys = [
        [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in images.byte().permute(0, 2, 3, 1).numpy()]
        for images in (pair.before, pair.after)
    ]
    found = {}
    for name, method in (("orb", orb), ("ecc", ecc)):
        guesses = [method(np.asarray(a, np.uint8), np.asarray(b, np.uint8)) for a, b in zip(*greys, strict=True)]
        found[name] = torch.from_numpy(np.stack(guesses)).float()
    return found
