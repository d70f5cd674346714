"""Reading the outputs of a family of networks: one file per family, each binding ``DECODER``.

outputs by name, as the graph gives them -> Detections in input pixels, before NMS, and class probabilities
"""

from __future__ import annotations

from edge.runtime import Decoder, RuntimeFault
from protocols import slots


def names() -> list[str]:
    """Return the families that can be read."""
    return sorted(slots.members("edge.runtime.decoders", "DECODER"))


def find(name: str) -> Decoder:
    """Return the decoder of the family `name`. Raises RuntimeFault, naming those that there are."""
    found: dict[str, Decoder] = slots.members("edge.runtime.decoders", "DECODER")
    if name not in found:
        raise RuntimeFault(f"decoder {name!r} is unknown; there are {', '.join(sorted(found))}")
    return found[name]
