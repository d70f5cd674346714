"""Finding a pack by what a person calls it: a folder, a file, or ``base``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import edge
from protocols.pack import SUFFIX, Pack, PackError, open_pack

BASE: Final = "base"


def base_path() -> Path:
    """Return where the pack that ships with the project lies, whether or not it is there."""
    return Path(edge.__file__).parent.parent / "central" / "zoo" / f"base{SUFFIX}"


def cache() -> Path:
    """Return the user's folder for packs that were opened from archives: content-addressed, so it may be shared."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wayside" / "packs"


def find(name: str, packs: Path) -> Pack:
    """Return the pack called `name`: a folder, a ``.wpack`` file (unpacked below `packs`), or ``base``.

    Raises PackError where there is none or it is damaged.
    """
    if name != BASE or Path(name).exists():
        return open_pack(Path(name), packs)
    path = base_path()
    if not path.is_file():
        raise PackError(f"{path}: the base pack is not in this installation; give a pack folder or a {SUFFIX} file")
    return open_pack(path, packs)
