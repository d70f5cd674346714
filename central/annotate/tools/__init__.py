"""Other annotation tools that the queue can be lent to. One file each: what it is given, and how it names things.

The program that speaks with the tool runs elsewhere (`central.annotate.bridges`); here is only what it works on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from central.annotate.bridges import BridgeError
from central.annotate.formats import Dataset
from protocols import slots

SLOT: Final = "central.annotate.tools"
ATTRIBUTE: Final = "TOOL"


class Tool(Protocol):
    """A member: ``TOOL`` of a file in this folder."""

    name: str
    """Also of the format in which the answers come back."""
    program: str
    """File of the bridge's program, without its ending."""
    answers: str
    """File in the folder that the program writes the answers to."""
    flat: bool
    """Whether it keeps no folders of what is uploaded: images are then known by their last name, and ordered by it."""

    def write(self, dataset: Dataset, folder: Path) -> None:
        """Write into `folder` what the program gives the tool beside the images: labels, and proposals or tasks."""
        ...


def find(name: str) -> Tool:
    """Return the tool called `name`. Raises BridgeError, naming those that there are."""
    found = slots.members(SLOT, ATTRIBUTE)
    if name not in found:
        raise BridgeError(f"tool {name!r} does not exist; tools: {', '.join(found)}")
    tool: Tool = found[name]
    return tool
