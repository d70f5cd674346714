"""The families of detectors: how each is built and what it learns from. One file each; the training loop knows no more.

A configuration says which family it is of (``family``); a network has a `config`, `raw` for its losses, `trunk` (what
training of the heads alone leaves as it is), and its `forward` gives the outputs that a pack has.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol

import msgspec
from torch import Tensor, nn

from central.learn.data.dataset import Batch
from central.learn.models.config import ModelConfig
from central.learn.models.detr import DetrConfig
from protocols import slots

AnyConfig = ModelConfig | DetrConfig
"""What a network of any family is described by."""
Rows = Literal["labels", "tags", "pairs"]
"""What the first axis of a weight counts; ``pairs``: tags, and its second axis as well."""
DEFAULT: Final = "wayside"


class Parts(Protocol):
    """Weighted parts of a loss; their sum is what is minimised."""

    def total(self) -> Tensor:
        """Return the sum."""
        ...

    def _asdict(self) -> dict[str, Any]: ...


class Tutor(Protocol):
    """What a pupil is held to beside its labels."""

    def __call__(self, raw: Any, batch: Batch) -> Tensor:
        """Return a weighted loss of the outputs `raw` that the family's `losses` work on."""
        ...


class Family(Protocol):
    """A member: ``FAMILY`` of a file in this folder."""

    name: str
    """The ``family`` of its configurations."""
    tuning_rate: float
    """Highest learning rate of a round, which bends what a pack knows and does not break it."""

    def build(self, config: Any) -> nn.Module:
        """Return a freshly initialised network. Raises ValueError where it cannot be built."""
        ...

    def rows(self, name: str) -> Rows | None:
        """Return what the rows of the weight `name` stand for (``pairs``: its columns, too); None for neither."""
        ...

    def whole(self, network: Any, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `weights` of an exported graph with what only the training of `network` needs beside them."""
        ...

    def losses(
        self, network: Any, batch: Batch, guess: Tensor | None, fast: bool, tutor: Tutor | None = None
    ) -> Parts:
        """Return the losses of `network` on `batch`.

        `guess` ``[C]``: how much the network's own background counts where a class is not complete; `fast`: bfloat16
        where it is safe; `tutor`: one made by the family, whose loss is added.
        """
        ...

    def tutor(self, teacher: Any, labels: tuple[str, ...], weight: float) -> Tutor | None:
        """Return what holds a pupil with `labels` to the responses of `teacher`, a network of this family.

        None where the family has no such thing; the teacher's detections as labels serve then.
        """
        ...


def of(config: AnyConfig) -> Family:
    """Return the family of `config`. Raises SlotError."""
    found: Family = slots.member("central.learn.families", "FAMILY", str(type(config).__struct_config__.tag))
    return found


def parse(config: dict[str, Any]) -> AnyConfig:
    """Return the configuration that a run or a pack holds as JSON; one without a family is ours. Raises ValueError."""
    return msgspec.convert({"family": DEFAULT, **config}, AnyConfig)  # type: ignore[no-any-return]
