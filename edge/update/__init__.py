"""How a node changes its model without stopping: intent before action, and back to what works when anything fails.

release -> announced -> fetching -> verifying -> applying (-> building) -> checking -> shadowing -> committed
               \\___________\\____________\\___________\\___________\\___________\\___________\\-> rolled-back, and why

journal    what was decided, durable before it is done; where a restart goes on
fetchers   what was signed, and the archive: over the link or HTTPS, resumed where it broke off
delta      the short way to the archive: from the pack that runs
child      other processes, in which a pack may crash or hang as it likes
build      where TensorRT runs packs: making or refitting its engine
check      opening the pack and running its parity.npz on this device
shadow     old and new pack in turn on a share of the live frames (beside.py is the process, compare.py the counting)
trial      the node's own first frames with the new pack, while the old one is still open
pointer    `current` and `previous`, swapped atomically, after the trial and not before
freshness  asking from time to time whether the centre still signs
updater    the steps in order, on a thread of its own; cameras never wait for it
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Inference
from protocols.pack import Pack


class UpdateError(Exception):
    """An update that cannot succeed; the text is the reason that is reported."""


class Runner(Protocol):
    """An opened model, as the update and the agent see it (`edge.runtime.model.Model`)."""

    pack: Pack
    labels: tuple[str, ...]
    backend_name: str

    def infer(self, image: NDArray[np.uint8], threshold: float | None = None) -> Inference:
        """Return what the model sees in a BGR image ``[H, W, 3]``."""
        ...

    def close(self) -> None:
        """Release the backend."""
        ...


class Host(Protocol):
    """The node, as an update needs it."""

    def open(self, pack: Pack) -> Runner:
        """Open `pack` as this node is configured to. Raises RuntimeFault."""
        ...

    def live_frame(self, timeout: float, not_of: Collection[str] = ()) -> tuple[str, NDArray[np.uint8]] | None:
        """Return camera and image of the next frame of a camera other than `not_of`, or None where none comes within
        `timeout` seconds. It goes on being watched."""
        ...

    def running(self) -> Pack:
        """Return the pack that runs now."""
        ...

    def swap(self, runner: Runner, release: int) -> Runner:
        """Use `runner` from the next frame on, and return the one that ran before, still open. Raises InterruptedError
        where the node stops meanwhile."""
        ...

    def restart(self) -> None:
        """End this process soon and start anew: its model hangs, and nothing else ends that."""
        ...
