"""``wayside-edge config schema``: what an editor may complete and check in a node's file."""

from __future__ import annotations

from typing import Any

from edge.config import schema


def editor_schema() -> dict[str, Any]:
    """Return the JSON schema of a file: cameras may stand in their short form, and ${...} for any value."""
    whole = schema()
    for section in (whole, *whole["$defs"].values()):
        for key, field in section.get("properties", {}).items():
            section["properties"][key] = _substitutable(field)
    cameras = whole["properties"]["cameras"]["patternProperties"]
    for pattern, camera in cameras.items():
        cameras[pattern] = {"anyOf": [camera, {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}]}
    return whole


def _substitutable(field: dict[str, Any]) -> dict[str, Any]:
    """Return `field` so that a number, switch or choice may come out of ``${...}``."""
    options = field.get("anyOf", [field])
    if not any(option.get("type") in ("integer", "number", "boolean") or "enum" in option for option in options):
        return field
    told: dict[str, Any] = {key: field[key] for key in ("default", "description", "title") if key in field}
    return {**told, "anyOf": [*options, {"type": "string", "pattern": r"\$\{[^}]+\}"}]}
