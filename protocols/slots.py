"""Families of pluggable members: a folder with one file per member, found by looking into the folder.

A member file binds one module-level name, the same for the whole family (``SOURCE``, ``SCORE``, ``POLICY`` ...),
to an object with a ``name``. Two members of one name are refused.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


class SlotError(ValueError):
    """A member that does not exist, or two of one name."""


def members(package: str, attribute: str) -> dict[str, Any]:
    """Return the members of `package` by name: each module's `attribute`, where it has one. Raises SlotError."""
    found: dict[str, Any] = {}
    folder = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda i: i.name):
        member = getattr(importlib.import_module(f"{package}.{info.name}"), attribute, None)
        if member is None:
            continue
        if member.name in found:
            raise SlotError(f"{package}: two members are named {member.name!r}")
        found[member.name] = member
    return found


def member(package: str, attribute: str, name: str) -> Any:
    """Return the member of `package` called `name`. Raises SlotError, naming those that there are."""
    found = members(package, attribute)
    if name not in found:
        raise SlotError(f"{package}: no {name!r}; there are {', '.join(found)}")
    return found[name]
