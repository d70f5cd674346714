"""What was gained and what was lost over a sequence of steps.

`table` is ``A[t][i]``: AP (0..1) after step t on what step i brought; entries with i > t are of things not yet learned.
Definitions: Lopez-Paz and Ranzato, NeurIPS 2017 (backward transfer); Chaudhry et al., ECCV 2018 (forgetting,
intransigence).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Table = Sequence[Sequence[float]]


def backward_transfer(table: Table) -> float:
    """Return the mean of ``A[T][i] - A[i][i]`` over all steps but the last; negative where things were lost."""
    last = len(table) - 1
    return float(np.mean([table[last][i] - table[i][i] for i in range(last)])) if last > 0 else 0.0


def forgetting(table: Table) -> float:
    """Return the mean of the best that was ever had of each step but the last, less what is left of it (0..1)."""
    last = len(table) - 1
    lost = [max(table[t][i] for t in range(i, last)) - table[last][i] for i in range(last)]
    return float(np.mean(lost)) if lost else 0.0


def intransigence(table: Table, joint: Sequence[float]) -> float:
    """Return the mean of what joint training reaches on each step's own part less what the step itself reached."""
    return float(np.mean([joint[i] - table[i][i] for i in range(len(table))]))
