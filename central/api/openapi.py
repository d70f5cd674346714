"""Print the OpenAPI document: ``python -m central.api.openapi > openapi.json``."""

from __future__ import annotations

import json
import sys
from typing import Any

from central.api.app import create_app


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return create_app().openapi()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2) + "\n")
