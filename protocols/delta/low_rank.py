"""Multiples of a step that form a matrix of low rank: `r` of its columns and `r` of its rows say all of it.

    M = C @ inverse(U) @ R        C: r columns, R: r rows, U: where they cross

The skeleton decomposition (Goreinov, Tyrtyshnikov, Zamarashkin, Linear Algebra Appl. 261, 1997). The product is a
matrix of integers, so rounding takes away what floating point adds, in whatever order a device adds; who makes the
delta makes sure that the rounding has room.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocols.delta.errors import DeltaError
from protocols.delta.grid import LIMIT, Ints

MAX_RANK: Final = 32
"""Above it the rows and columns of a detector's layers cost more than the matrix."""
ROOM: Final = 1e-3
"""Largest distance from an integer that a product may have where the delta is made; half of one would be an error."""


class Cross(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which rows and columns of a matrix of multiples are sent."""

    rows: Annotated[list[Annotated[int, Meta(ge=0, lt=1 << 20)]], Meta(min_length=1, max_length=MAX_RANK)]
    columns: Annotated[list[Annotated[int, Meta(ge=0, lt=1 << 20)]], Meta(min_length=1, max_length=MAX_RANK)]


class Skeleton(NamedTuple):
    """columns ``[R, r]`` and rows ``[r, K]`` of a matrix ``[R, K]``, and which they are."""

    cross: Cross
    columns: Ints
    rows: Ints


def find(matrix: Ints) -> Skeleton | None:
    """Return the skeleton of `matrix`; None where its rank is too high for that to save anything."""
    height, width = matrix.shape
    most = min(MAX_RANK, height * width // (2 * (height + width)))
    rest = matrix.astype(np.float64)
    rows: list[int] = []
    columns: list[int] = []
    while np.abs(rest).max(initial=0.0) > 0.5:  # Gaussian elimination, pivoting over the whole matrix
        if len(rows) >= most:
            return None
        row, column = np.unravel_index(int(np.argmax(np.abs(rest))), rest.shape)
        rest -= np.outer(rest[:, column], rest[row] / rest[row, column])
        rows.append(int(row))
        columns.append(int(column))
    if not rows:
        return None
    found = Skeleton(Cross(rows, columns), matrix[:, columns], matrix[rows])
    product = _product(found)
    exact = np.abs(product - matrix).max() < ROOM
    return found if exact else None


def _product(skeleton: Skeleton) -> NDArray[np.float64]:
    crossing = skeleton.rows[:, skeleton.cross.columns].astype(np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(skeleton.columns @ np.linalg.solve(crossing, skeleton.rows.astype(np.float64)), np.float64)


def check(cross: Cross, shape: tuple[int, int]) -> None:
    """Raise DeltaError where `cross` is not of a matrix of `shape`."""
    rows, columns = cross.rows, cross.columns
    whole = len(rows) == len(columns) == len(set(rows)) == len(set(columns))
    if not whole or max(rows) >= shape[0] or max(columns) >= shape[1]:
        raise DeltaError("rows and columns of a tensor of low rank are not what it has")


def matrix(skeleton: Skeleton) -> Ints:
    """Return the matrix of `skeleton`, which was checked. Raises DeltaError where there is none."""
    try:
        product = _product(skeleton)
    except np.linalg.LinAlgError:
        raise DeltaError("a tensor of low rank has no inverse where its rows and columns cross") from None
    if not (np.isfinite(product).all() and np.abs(product).max(initial=0.0) <= LIMIT):
        raise DeltaError("a tensor of low rank is too large")
    return np.rint(product).astype(np.int64)
