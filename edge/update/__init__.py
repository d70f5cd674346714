"""How a node changes its model without stopping: intent before action, and back to what works when anything fails.

release -> announced -> fetching -> verifying -> applying -> checking -> shadowing -> committed
               \\___________\\____________\\___________\\__________\\____________\\____-> rolled-back (with the reason)

journal   what was decided, durable before it is done; where a restart goes on
fetchers  what was signed, and the archive: over the link or HTTPS, resumed where it broke off
check     opening the pack and running its parity.npz on this device, in a process of its own
shadow    the new model on live frames, beside the old one
pointer   `current` and `previous`, swapped atomically
updater   the steps in order, on a thread of its own; cameras never wait for it
"""

from __future__ import annotations

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

    def live_frames(self, count: int, timeout: float) -> list[NDArray[np.uint8]]:
        """Return up to `count` frames that cameras deliver within `timeout` seconds; they go on being watched."""
        ...

    def running(self) -> str | None:
        """Return the address of the pack that runs now, if any."""
        ...

    def swap(self, runner: Runner, release: int) -> None:
        """Use `runner` from the next frame on and close the old one."""
        ...
