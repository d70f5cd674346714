"""The short way to a pack: a delta from the one that runs. Whatever is wrong with it, the whole pack is fetched.

A delta needs no signature: what comes of it must be the archive that was signed, to the byte. That it is tried is noted
on the disk first, so that a delta on which a node dies is not met again at its next start.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import structlog

from edge.update.fetchers import Fetcher, part_path
from edge.update.pointer import PACKS
from protocols import delta, files
from protocols.delta import DeltaError
from protocols.pack import PackError, open_folder
from protocols.trust.verify import Approved, MissingError, UnreachableError

log = structlog.get_logger("edge.update")

TRIED: Final = ".tried"


def obtain(data: Path, fetcher: Fetcher, running: str | None, address: str, approved: Approved) -> bool:
    """Put the archive of pack `address` where `fetcher` keeps it, made of the pack that is `running` and a delta.

    False where there is none that serves; nothing is left behind then. Raises OSError where the disk fails.
    """
    path = part_path(data, address)
    mark = path.with_suffix(TRIED)
    if running is None or path.exists() or not _noted(mark):
        return False
    whole = _made(data, fetcher, running, address, approved)
    if whole is not None:
        files.write_atomic(path, whole)
    mark.unlink(missing_ok=True)
    return whole is not None


def _made(data: Path, fetcher: Fetcher, running: str, address: str, approved: Approved) -> bytes | None:
    try:
        old = open_folder(data / PACKS / running)
        change = fetcher.read(delta.file_name(running, address), approved.length)
        whole = delta.apply(old, change, address)
    except MissingError:
        return None
    except (UnreachableError, PackError, DeltaError, MemoryError) as error:
        log.warning("no delta to this pack serves; fetching the whole of it", pack=address[:12], reason=str(error))
        return None
    if len(whole) != approved.length or hashlib.sha256(whole).hexdigest() != approved.sha256:
        log.warning("a delta leads to another archive than was signed; fetching the whole of it", pack=address[:12])
        return None
    log.info("pack made of the one before", pack=address[:12], bytes=len(change), whole=len(whole))
    return whole


def _noted(mark: Path) -> bool:
    """Note that a delta is tried; False where that ended this node."""
    for old in mark.parent.glob(f"*{TRIED}"):
        if old != mark:
            old.unlink(missing_ok=True)
    if mark.exists():
        return False
    files.write_atomic(mark, b"")
    return True
