"""YAML with line numbers and substitution: text in, plain values out, and for each error its line.

``${NAME}``, ``${NAME:-default}`` and ``${file:/path}`` are replaced in values, never in keys; what comes out of them is
not searched again. A key that stands twice is an error. Nothing in the file can make objects other than text, numbers,
switches, lists and mappings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

MAX_SECRET: Final = 64 * 1024
"""Bytes of a file named by ``${file:...}``."""
TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
)
"""What a value may be; every other tag would make an object."""
MAX_DEPTH: Final = 20
MAX_VALUES: Final = 100_000
"""Values in a file, aliases counted each time: a thousand cameras need 20,000."""
_VARIABLE = re.compile(r"\$\{(?:file:(?P<file>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?)\}")
Place = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


class ConfigError(ValueError):
    """Errors of a configuration, one line each: ``file:line: key: what is wrong; what to do``."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Substituted(str):
    """Text that came out of ``${...}``: where a number or a switch is wanted, it is read as YAML would read it."""


class Reader:
    """Turns YAML into plain values and remembers where each stood."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name, self.environment = name, environment
        self.lines: dict[Place, int] = {}
        self.errors: list[str] = []
        self.values = 0

    def read(self, text: str) -> Any:
        """Return the values in `text`. Raises ConfigError."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            data = {} if root is None else self._value(root, ())
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark.line if error.problem_mark else 0) + 1
            raise ConfigError([f"{self.name}:{line}: not valid YAML: {error.problem}"]) from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError([f"{self.name}:1: not valid YAML: {str(error).splitlines()[0]}"]) from None
        if not isinstance(data, dict):
            self.errors.append(f"{self.name}:1: must be a mapping such as 'cameras: ...'")
        if self.errors:
            raise ConfigError(self.errors)
        return data

    def _value(self, node: yaml.Node, at: Place) -> Any:
        self.lines.setdefault(at, node.start_mark.line + 1)
        self.values += 1
        if len(at) > MAX_DEPTH or self.values > MAX_VALUES:
            raise ValueError("nested too deeply, or too many values")
        if node.tag not in TAGS:
            where = f"{self.name}:{node.start_mark.line + 1}: {dotted(at)}"
            self.errors.append(f"{where}: the tag {node.tag!r} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, i)) for i, item in enumerate(node.value)]
        value = yaml.SafeLoader("").construct_object(node, deep=True)
        return self._substitute(value, at) if isinstance(value, str) and "${" in value else value

    def _mapping(self, node: yaml.MappingNode, at: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*at, key)
            if key in result:
                self.errors.append(f"{self.name}:{key_node.start_mark.line + 1}: {dotted(here)}: stands here twice")
            self.lines[here] = key_node.start_mark.line + 1
            result[key] = self._value(value_node, here)
        return result

    def _substitute(self, text: str, at: Place) -> str:
        def replace(match: re.Match[str]) -> str:
            if match["file"]:
                return self._secret(Path(match["file"]), at)
            value = self.environment.get(match["name"])
            if value is None and match["default"] is None:
                self.errors.append(
                    f"{self.name}:{self.lines[at]}: {dotted(at)}: variable {match['name']} is not set; "
                    f"set it, or write ${{{match['name']}:-default}}"
                )
            return value if value is not None else match["default"] or ""

        return Substituted(_VARIABLE.sub(replace, text))

    def _secret(self, path: Path, at: Place) -> str:
        try:
            with path.open("rb") as file:
                return file.read(MAX_SECRET).decode().removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self.errors.append(f"{self.name}:{self.lines[at]}: {dotted(at)}: {path} cannot be read ({reason})")
            return ""

    def explain(self, loc: Place, kind: str, text: str, keys: Callable[[Place], list[str]]) -> str:
        """Return one line for a validation error of `kind` at `loc`; `keys` names what the section at a place knows."""
        at = tuple(part for part in loc if part != "[key]")
        known = at
        while known and known not in self.lines:
            known = known[:-1]
        where = f"{self.name}:{self.lines.get(known, 1)}: {dotted(at) or 'file'}"
        if kind == "extra_forbidden":
            return f"{where}: unknown key; there are: {', '.join(keys(at[:-1]))}"
        if kind == "missing":
            return f"{where}: is missing"
        return f"{where}: {text.removeprefix('Value error, ')[:1].lower()}{text.removeprefix('Value error, ')[1:]}"


def dotted(at: Place) -> str:
    return ".".join(str(part) for part in at)
