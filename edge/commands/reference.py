"""The node's part of docs/config.md.

python -m edge.commands.reference            writes it
python -m edge.commands.reference --check    exit status 1 where it is not what would be written
"""

from __future__ import annotations

import sys

from edge.config import schema
from protocols import reference

PROGRAM = "wayside-edge"


def lines() -> list[str]:
    """Return the tables of the node's settings."""
    return reference.tables(schema())


if __name__ == "__main__":
    sys.exit(reference.main(PROGRAM, "edge.commands.reference", lines(), sys.argv[1:]))
