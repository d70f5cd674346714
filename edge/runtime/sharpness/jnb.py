"""Just-noticeable blur (Ferzli & Karam, IEEE TIP 2009): blocks of edges over the blur that is noticed in them."""

from __future__ import annotations

import numpy as np

from edge.runtime.prepare import Image
from edge.runtime.sharpness.edges import BETA, blurs


class Jnb:
    """Number of blocks with edges over their pooled blur."""

    name = "jnb"

    def score(self, image: Image) -> float:
        """Return the ratio; 0 where there is no edge."""
        sums = [float(np.sum(ratios**BETA)) for ratios in blurs(image)]
        return len(sums) / sum(sums) ** (1 / BETA) if sums else 0.0


METHOD = Jnb()
