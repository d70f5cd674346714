"""The detection whose two best classes are closest decides."""

from __future__ import annotations

from central.learn.acquire.ranking import Ranking
from central.learn.acquire.scores import margins, most

ACQUISITION = Ranking("margin", "frames with the smallest gap between two classes", lambda c: most(margins(c.scores)))
