"""The reference of settings, docs/config.md, generated from the JSON schemas of the settings themselves.

    JSON schema -> tables in Markdown -> the block of the file that has the program's name

Each program has a block of its own between two comments, so that neither needs to know the other's settings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent.parent / "docs" / "config.md"
HEAD: Final = ("| setting | value | default | meaning |", "| --- | --- | --- | --- |")
_BOUNDS: Final = {
    "minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "minItems": "at least {}", "maxItems": "at most {}",
}  # fmt: skip
_NAMES: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

Schema = Mapping[str, Any]
"""A JSON schema, or a part of one."""


def _plain(field: Schema) -> str:
    """Return what `field` holds, in words."""
    if "anyOf" in field:
        return ", or ".join(_plain(option) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        inner = field.get("items") or {}
        kind = f"list of {_plain(inner)}" if inner else f"{len(field.get('prefixItems', []))} numbers"
    elif field.get("format") in ("path", "file-path"):
        kind = "path"
    else:
        kind = _NAMES.get(str(field.get("type")), "section")
    exact = field.get("minItems") is not None and field.get("minItems") == field.get("maxItems")
    bounds = [] if exact else [text.format(field[key]) for key, text in _BOUNDS.items() if _telling(key, field)]
    return " ".join([kind, *bounds])


def _telling(key: str, field: Schema) -> bool:
    """Say whether bound `key` of `field` is worth a word: that a text is not empty goes without saying."""
    return key in field and (key, field[key]) != ("minLength", 1)


def _default(field: Schema) -> str:
    if "default" not in field or field["default"] is None or field["default"] == "":
        return ""
    value = field["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _sections(field: Schema) -> Iterator[str]:
    """Yield the names of the sections that `field` holds, in the order in which they stand."""
    if "$ref" in field:
        yield str(field["$ref"]).rsplit("/", 1)[-1]
    for option in field.get("anyOf", ()):
        yield from _sections(option)
    for named in field.get("patternProperties", {}).values():
        yield from _sections(named)
    if "items" in field:
        yield from _sections(field["items"])


def tables(schema: Schema, prefix: str = "", title: str = "") -> list[str]:
    """Return the lines of a table for the fields of `schema`, and one for each section below it.

    Settings are named by their path; `prefix` stands before them, `title` above the table.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    rows: list[str] = []
    below: list[str] = []
    for name, field in schema.get("properties", {}).items():
        inner = next(_sections(field), None)
        if inner is None:
            value = _plain(field).replace("|", "\\|")
            meaning = str(field.get("description", "")).replace("|", "\\|")
            rows.append(f"| `{prefix}{name}` | {value} | {_default(field)} | {meaning} |")
            continue
        path = f"{prefix}{name}.NAME." if "patternProperties" in field else f"{prefix}{name}."
        heading = f"### `{path.removesuffix('.')}`: {field.get('description', '')}"
        below += tables({**definitions[inner], "$defs": definitions}, path, heading)
    head = [title, ""] if title else []
    return [*head, *HEAD, *rows, "", *below] if rows else [*head, *below]


def replaced(text: str, program: str, lines: list[str]) -> str:
    """Return `text` with the block of `program` replaced by `lines`. Raises ValueError where it has no such block."""
    begin, end = f"<!-- begin {program} -->", f"<!-- end {program} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no block of {program} in it: put {begin} and {end} where the tables belong")
    return "\n".join([before + begin, "", *lines]).rstrip("\n") + f"\n\n{end}{after}"


def main(program: str, module: str, lines: list[str], arguments: list[str], file: Path = FILE) -> int:
    """Write the block of `program` into `file`, or with ``--check`` compare it. Returns the exit status."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"usage: python -m {module} [--check]\n")
        return 2
    try:
        text = file.read_text(encoding="utf-8")
        wanted = replaced(text, program, lines)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{file.name}: {error}\n")
        return 2
    if arguments:
        if text != wanted:
            sys.stderr.write(f"{file.name} is out of date; run python -m {module}\n")
        return int(text != wanted)
    file.write_text(wanted, encoding="utf-8")
    return 0
