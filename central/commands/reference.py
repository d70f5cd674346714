"""The centre's part of docs/config.md.

python -m central.commands.reference            writes it
python -m central.commands.reference --check    exit status 1 where it is not what would be written
"""

from __future__ import annotations

import sys

from central.settings import ENV_PREFIX, Settings
from protocols import reference

PROGRAM = "wayside-central"


def lines() -> list[str]:
    """Return the table of the centre's settings, named as the variables of the environment."""
    schema = Settings.model_json_schema()
    schema["properties"] = {f"{ENV_PREFIX}{name.upper()}": field for name, field in schema["properties"].items()}
    return reference.tables(schema)


if __name__ == "__main__":
    sys.exit(reference.main(PROGRAM, "central.commands.reference", lines(), sys.argv[1:]))
