"""CPBD (Narvekar & Karam, IEEE TIP 2011): the share of edges whose blur nobody notices."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.runtime.prepare import Image
from edge.runtime.sharpness.edges import BETA, blurs

NOTICED: Final = 0.63
"""Probability of noticing the blur of an edge that is just noticeably blurred: 1 - 1/e."""


class Cpbd:
    """Cumulative probability of blur detection, up to NOTICED."""

    name = "cpbd"

    def score(self, image: Image) -> float:
        """Return the share, 0..1; 0 where there is no edge."""
        found = list(blurs(image))
        if not found:
            return 0.0
        probability = 1 - np.exp(-(np.concatenate(found) ** BETA))
        return float(np.mean(probability <= NOTICED))


METHOD = Cpbd()
