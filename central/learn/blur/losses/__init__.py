"""What a wrong order costs: one file per loss.

All take blur scores before the sigmoid, of the first and of the second of each pair, and who is blurrier: `order` is 1
where the second is, -1 where the first is, 0 where nobody can tell. Turning every pair round changes nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from protocols import slots

PACKAGE = "central.learn.blur.losses"


class RankLoss(Protocol):
    """A member of this family."""

    name: str

    def __call__(self, first: Tensor, second: Tensor, order: Tensor) -> Tensor:
        """Return the loss ``[P]`` of pairs: logits ``[P]``, order ``[P]`` in -1, 0, 1."""
        ...


def losses() -> dict[str, RankLoss]:
    """Return every loss by name."""
    return slots.members(PACKAGE, "LOSS")


def find(name: str) -> RankLoss:
    """Return the loss called `name`. Raises SlotError, naming those that there are."""
    found: Any = slots.member(PACKAGE, "LOSS", name)
    return found  # type: ignore[no-any-return]
