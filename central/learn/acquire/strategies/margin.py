"""The detection whose two best classes are closest decides."""

from __future__ import annotations

import numpy as np

from central.learn.acquire import Pool
from central.learn.acquire.scores import margins, most, order


class Margin:
    """Smallest gap between the two best classes of any detection."""

    name = "margin"
    about = "frames with the smallest gap between two classes"

    def choose(self, pool: Pool, count: int) -> list[int]:
        """Return the `count` candidates of the smallest gap."""
        return order(np.array([most(margins(c.scores)) for c in pool.candidates]), count, pool.random())


ACQUISITION = Margin()
