"""YAML of strangers: plain values only, and nesting within bounds before anything parses it."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 64
"""Of brackets within brackets; the parser's time grows with the square of it, and profiles have two."""
_BRACKET: Final = re.compile(r"[\[\]{}]")


class YamlError(ValueError):
    """Text that is no YAML, or more than it should be. `line` counts from 1, 0 where it is not known."""

    def __init__(self, line: int = 0) -> None:
        super().__init__(f"not YAML{f' in line {line}' if line else ''}")
        self.line = line


def load(text: str) -> Any:
    """Return what `text` holds. Raises YamlError."""
    depth = 0
    for bracket in _BRACKET.findall(text):
        depth = max(0, depth + (1 if bracket in "[{" else -1))
        if depth > MAX_DEPTH:
            raise YamlError
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise YamlError(mark.line + 1 if mark else 0) from None
    except (ValueError, RecursionError):  # ValueError: a date, or a number, that is none
        raise YamlError from None
