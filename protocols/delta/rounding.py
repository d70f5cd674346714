"""Rounding an update to the grid: what a round does before it evaluates and signs its network.

    step of a weight   = step * root(size of its update * size of an update that would matter as much)
    multiples          = nearest, or, knowing what a layer's inputs are like, one column after the other, what a column
                         loses being made good by those that follow

The second is the OPTQ of Frantar et al. (ICLR 2023, eq. 2 and 3; Cholesky form as in their algorithm 1), applied to the
update of the weights instead of the weights. At equal bytes it halves how far outputs move, and so does a step that is
finer where the outputs depend on a weight. Vectors (norms, biases) are few, and get fine steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.delta import grid
from protocols.delta.grid import Floats, Ints, Multiples

STEP: Final = 1.2
"""Step of a weight over the standard deviation of its update: about 1.7 bits a value."""
VECTOR_STEP: Final = 0.125
"""The same for norms and biases: five bits a value, and a hundredth of all values."""
DAMPING: Final = 0.1
"""Share of the mean of the diagonal that is added to it: inputs that were never seen together may come."""
LEAST_GAIN: Final = 1e-2
"""Gain of a weight over the mean of all, at least: one that the frames at hand do not use may be used yet."""

Array = NDArray[np.generic]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Sense:
    """What frames tell of a network. moments: by weight ``[G, K, K]``, the mean products of the inputs of each of its G
    groups; gains: by weight, how much the outputs move with it: the mean square of their gradient."""

    moments: Mapping[str, Doubles] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)


def _is_matrix(tensor: Array) -> bool:
    return tensor.ndim > 1


def _changed(old: Mapping[str, Array], new: Mapping[str, Array]) -> list[str]:
    """Return the weights that an update to the grid can reach."""
    return [
        name
        for name, after in new.items()
        if name in old
        and old[name].dtype == after.dtype == np.float32
        and old[name].shape == after.shape
        and not np.array_equal(old[name], after)
        and np.isfinite(after).all()
        and np.isfinite(old[name]).all()
    ]


def _size(old: Array, new: Array) -> float:
    """Return the root mean square of an update."""
    return float(np.sqrt(np.square(new.astype(np.float64) - old.astype(np.float64)).mean()))


def _steps(sizes: Mapping[str, float], gains: Mapping[str, float], step: float) -> dict[str, float]:
    """Return the step of each matrix: between one for all with equal effect and one that is relative to its update."""
    known = {name: gains[name] for name in sizes if gains.get(name, 0.0) > 0}
    if not known:
        return {name: step * size for name, size in sizes.items()}
    mean = float(np.mean(list(known.values())))
    level = float(np.exp(np.mean([np.log(sizes[n] * np.sqrt(max(g, LEAST_GAIN * mean))) for n, g in known.items()])))
    found = {}
    for name, size in sizes.items():
        matters = level / np.sqrt(max(known.get(name, mean), LEAST_GAIN * mean))
        found[name] = step * float(np.sqrt(size * matters))
    return found


def _compensated(difference: Doubles, step: float, moments: Doubles) -> Ints:
    """Return multiples of `step` for `difference` ``[R, K]``, given the `moments` ``[G, K, K]`` of its inputs."""
    groups, width = moments.shape[0], moments.shape[1]
    diagonal = np.trace(moments, axis1=1, axis2=2)[:, None, None] / width
    damped = moments + np.eye(width) * (DAMPING * diagonal + np.finfo(np.float32).tiny)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    rest = difference.reshape(groups, -1, width).copy()
    found = np.zeros(rest.shape, np.int64)
    for column in range(width):
        found[:, :, column] = np.rint(rest[:, :, column] / step)
        lost = (rest[:, :, column] - found[:, :, column] * step) / upper[:, column, column, None]
        rest[:, :, column + 1 :] -= lost[:, :, None] * upper[:, None, column, column + 1 :]
    return np.clip(found, -grid.LIMIT, grid.LIMIT).reshape(difference.shape)


def _fits(moments: Doubles | None, shape: tuple[int, ...]) -> bool:
    return moments is not None and moments.shape[1:] == (shape[1], shape[1]) and shape[0] % moments.shape[0] == 0


def _rounded(old: Floats, new: Floats, step: float, moments: Doubles | None) -> Floats:
    before, after = grid.rows(old), grid.rows(new)
    levels = np.repeat(grid.level_of(np.array([step])), len(before))
    if moments is not None and _fits(moments, before.shape):
        exact = float(grid.STEPS[levels[0]])
        multiples = _compensated(after.astype(np.float64) - before, exact, moments)
    else:
        multiples = grid.nearest(before, after, levels)
    return grid.add(before, Multiples(multiples, levels)).reshape(old.shape)


def round_update(
    old: Mapping[str, Array], new: Mapping[str, Array], step: float = STEP, sense: Sense | None = None
) -> dict[str, Array]:
    """Return `new` (weights by name) with every change from `old` on the grid that a delta carries.

    `step`: of matrices, over the standard deviation of their updates; smaller is closer and larger. `sense`: what is
    known of the network, which makes the same bytes go further. Weights that are new, or not float32, stay as they
    are. ValueError: a step that is not above 0.
    """
    if not step > 0:
        raise ValueError(f"the step of an update must be above 0, not {step}")
    sense = sense or Sense()
    names = _changed(old, new)
    sizes = {name: _size(old[name], new[name]) for name in names}
    steps = _steps({name: size for name, size in sizes.items() if _is_matrix(new[name])}, sense.gains, step)
    found = dict(new)
    for name in names:
        before, after = old[name].astype(np.float32, copy=False), new[name].astype(np.float32, copy=False)
        if name in steps:
            found[name] = _rounded(before, after, steps[name], sense.moments.get(name))
        else:
            found[name] = _rounded(before, after, VECTOR_STEP * min(1.0, step / STEP) * sizes[name], None)
    return found
