"""`current` and `previous`: which pack runs, and which one to go back to.

Both are text files with an address, replaced atomically; the packs lie in ``packs/<address>/``.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import structlog

from protocols import files
from protocols.messages import SHA256_HEX
from protocols.pack import Pack, PackError, open_folder

log = structlog.get_logger("edge.update")

CURRENT: Final = "current"
PREVIOUS: Final = "previous"
PACKS: Final = "packs"
_ADDRESS = re.compile(SHA256_HEX)


def read(data: Path, name: str) -> str | None:
    """Return the address that pointer `name` holds, or None where there is none or it is damaged."""
    try:
        text = (data / name).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return text if _ADDRESS.fullmatch(text) else None


def open_current(data: Path) -> Pack | None:
    """Return the pack that `current` names; `previous` where that one is damaged; None where neither opens."""
    for name in (CURRENT, PREVIOUS):
        address = read(data, name)
        if address is None:
            continue
        try:
            pack = open_folder(data / PACKS / address)
        except PackError as error:
            log.warning("a pack cannot be used", pointer=name, reason=str(error))
            continue
        if pack.address == address:
            return pack
        log.warning("a pack is not what its folder says", pointer=name, pack=address[:12])
    return None


def swap(data: Path, address: str, running: str | None) -> None:
    """Make `address` current and `running` previous, where the latter lies in `packs`. Raises OSError."""
    if running and running != address and (data / PACKS / running).is_dir():
        files.write_atomic(data / PREVIOUS, f"{running}\n".encode())
    files.write_atomic(data / CURRENT, f"{address}\n".encode())


def back(data: Path) -> None:
    """Make current what is previous; where there is nothing previous, nothing is current either. Raises OSError."""
    previous = read(data, PREVIOUS)
    if previous is not None:
        files.write_atomic(data / CURRENT, f"{previous}\n".encode())
        return
    (data / CURRENT).unlink(missing_ok=True)
    files.sync_folder(data)


def tidy(data: Path, keep: set[str]) -> None:
    """Delete packs that neither pointer names and that are not among `keep`, and what was half written once."""
    keep = keep | {a for a in (read(data, CURRENT), read(data, PREVIOUS)) if a}
    for name in (CURRENT, PREVIOUS, "update.json"):
        for left in data.glob(f".{name}.*.part"):
            left.unlink(missing_ok=True)
    folder = data / PACKS
    if not folder.is_dir():
        return
    for item in folder.iterdir():
        name = item.name.removeprefix(".").removesuffix(".part")
        if _ADDRESS.fullmatch(name) and item.name not in keep:
            shutil.rmtree(item, ignore_errors=True)
